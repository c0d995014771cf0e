"""The board of reliability: sixty things that must hold whatever happens, by number.

A test tries a case where it carries `@pytest.mark.case(N)`, wherever in tests/ it lies; `python -m tests.reliability`
runs those tests and says how each case stands. Tier A: before the first release; B: before 1.0; C: good to have.
"""

from typing import NamedTuple


class Case(NamedTuple):
    """One thing that must hold."""

    tier: str
    promise: str


CASES = {
    # training, checkpoints, processes
    1: Case("A", "a run killed at any step ends with the same losses and weights as one that was not"),
    2: Case("A", "so does one with workers, strands, dropout, an average of the weights and micro-batches"),
    3: Case("A", "so does one killed while it writes a checkpoint, and nothing unfinished is left"),
    4: Case("A", "so does one whose TMPDIR is on another file system"),
    5: Case("A", "a checkpoint is on the disk before it has its name, and its name before it counts"),
    6: Case("A", "on a full disk the last checkpoint stays; the message says how much is missing"),
    7: Case("A", "a run folder that cannot be written is refused before the first step"),
    8: Case("B", "a truncated checkpoint, or one with a flipped bit, is found out and passed over"),
    9: Case("A", "Ctrl-C finishes the step and saves; twice ends within two seconds, workers too"),
    10: Case("A", "SIGTERM and SIGUSR1 save within a step"),
    11: Case("A", "a loss that is no number stops the run with its step, rate and windows, and is not saved"),
    12: Case("B", "out of memory ends with advice, and harms no checkpoint"),
    13: Case("A", "a worker that raises, dies or hangs ends the run, which says what it was reading"),
    14: Case("B", "other workers, micro-batches or devices change nothing about what is read, or are refused"),
    15: Case("A", "a run whose settings or data were changed is refused, with every difference"),
    16: Case("A", "one run folder is trained in by one process; the lock of a dead one holds nobody up"),
    17: Case("B", "a rank that is killed ends the others; the run goes on as if it had not been"),
    18: Case("B", "a seed fixes every digit, whatever the folder, the locale, the time zone and the hash seed"),
    19: Case("C", "clocks and dates of files decide nothing"),
    # FASTA and indexes
    20: Case("A", "line ends, blank ends, case and odd headers are read as Biopython reads them"),
    21: Case("A", "what is no FASTA is refused with a line number"),
    22: Case("A", "names: twice or empty are refused; any others, and a million of them, are read"),
    23: Case("A", "IUPAC codes, U, case and strange letters follow a declared policy, and are counted"),
    24: Case("A", "an index that no longer fits its genome is never believed"),
    25: Case("A", "a hostile index is refused or made anew, in bounded memory"),
    26: Case("A", "a genome in a folder that cannot be written is read all the same"),
    27: Case("A", "processes that build an index at once, or are killed while they do, leave a good one"),
    28: Case("A", "a reader shared over fork, spawn and threads reads no wrong base"),
    29: Case("A", "compressed genomes are read whole or refused, in bounded memory"),
    30: Case("B", "a line of 250 Mb and offsets beyond 4 GiB are read at once, in little memory"),
    31: Case("A", "windows beyond an end, empty, reversed, or all N are never clipped silently"),
    32: Case("B", "a genome replaced or truncated while it is read is refused at the next read"),
    33: Case("B", "any path is a path: spaces, letters of all scripts, dashes, loops, addresses"),
    # BED, VCF, tables
    34: Case("A", "intervals are 0-based and half-open: first base, last base, whole contig"),
    35: Case("A", "impossible intervals are refused, the first five by line, or skipped and counted"),
    36: Case("A", "chr1 and 1, chrM and MT, another assembly: refused, with what to rename"),
    37: Case("A", "BED of every kind is read; an empty one is refused"),
    38: Case("B", "overlapping and repeated intervals are counted; the minus strand is the reverse complement"),
    39: Case("A", "odd rows of a VCF are split, skipped or flagged, counted, in order; a wrong genome is refused"),
    40: Case("A", "swapping the alleles negates a score, and the other strand has the same"),
    41: Case("A", "odd tables of labels are refused or warned of; the map of labels is sorted and kept"),
    42: Case("A", "labels do not depend on the order of a folder"),
    # evaluation
    43: Case("A", "folds: every row once, classes balanced, the same from a seed; too few rows are refused"),
    44: Case("A", "rows that belong together never cross folds"),
    45: Case("A", "who learns random labels by heart gains nothing from reverse complements"),
    46: Case("A", "copies between training and test rows are counted; --fail-on-leak ends with 5"),
    47: Case("A", "training windows share no base with held-out ones"),
    48: Case("B", "every table has the majority and permuted labels beside it"),
    49: Case("B", "test rows cannot be read while anything is still chosen"),
    # safety, versions, formats
    50: Case("A", "no file runs code, whatever its name"),
    51: Case("A", "malformed safetensors are refused at once"),
    52: Case("A", "archives write nothing outside their place, and do not swell"),
    53: Case("A", "a download that is cut, wrong or led elsewhere leaves nothing under its name"),
    54: Case("A", "settings are data: nothing runs, unknown keys are named with the nearest right one"),
    55: Case("A", "code that comes with a model is never run"),
    56: Case("A", "weights of other versions and programs load whole or not at all"),
    57: Case("A", "a model never meets data of another vocabulary"),
    58: Case("B", "names and cells from files are escaped in reports, tables and terminals"),
    59: Case("B", "no network, no home, no terminal, no colours: works, or says why in a line"),
    60: Case("B", "odd wishes of sampling are fulfilled or refused; fixed letters stay fixed"),
}

TIERS = ("A", "B", "C")
