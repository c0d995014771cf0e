"""One side of an audit: rows of sequence, or of a genome's places, or both, and where each was read."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import numpy as np

from dnadiff.data.bed import Intervals, other_names
from dnadiff.data.leakage.ranges import Ints, spread
from dnadiff.data.leakage.sequences import InGenome, Sequences
from dnadiff.errors import counted

log = logging.getLogger(__name__)
LONGEST = 8  # a record longer than so many times the longest row that it is compared with is cut


@dataclass(frozen=True)
class Rows:
    """Rows in the order they were read.

    Attributes:
        path: what the user named.
        files: names of the files read; of those in a folder, within it.
        file: (rows,) int64, position in `files`.
        line: (rows,) int64, line of the file, from 1; of a FASTA file, record.
        classes: names of the classes, sorted; empty where rows have none.
        label: (rows,) int64, position in `classes`.
        sequences: tokens; None for places without their genome.
        intervals: where the rows are, on a genome or in the records of a FASTA file; None for sequences from tables.
        contigs: names of what `intervals` number.
        is_listed: whether the rows are a list of places on a genome.
    """

    path: str
    files: tuple[str, ...]
    file: Ints
    line: Ints
    classes: tuple[str, ...]
    label: Ints
    sequences: Sequences | None
    intervals: Intervals | None = None
    contigs: tuple[str, ...] = ()
    is_listed: bool = False

    def __len__(self) -> int:
        return len(self.line)

    def name(self, row: int) -> str:
        """File and line."""
        return f"{self.files[int(self.file[row])]}:{self.line[row]}"

    def place(self, row: int) -> str:
        """Contig, start and end; empty where there are none."""
        if self.intervals is None:
            return ""
        contig = self.contigs[int(self.intervals.contig[row])]
        return f"{contig}:{self.intervals.start[row]}-{self.intervals.end[row]}"

    def class_name(self, row: int) -> str:
        """Empty where rows have none."""
        return self.classes[int(self.label[row])] if self.classes else ""

    def describe(self) -> str:
        """What was read, for a person."""
        with_sequence = " with sequence" if self.is_listed and self.sequences is not None else ""
        is_fasta = self.intervals is not None and not self.is_listed
        n_records = len(np.unique(self.line)) if is_fasta else len(self)
        pieces = f" in {len(self):,} pieces" if n_records < len(self) else ""
        what = f"{counted(n_records, 'sequence' if not self.is_listed else 'place')}{with_sequence}"
        bases = "" if self.sequences is None else f", {counted(int(self.sequences.lengths.sum()), 'base')}"
        classes = f", {len(self.classes)} classes" if len(self.classes) > 1 else ""
        return f"{self.path}: {what}{pieces}{bases}{classes}"


def cut_records(rows: Rows, longest: int) -> Rows:
    """Rows with the long records of a FASTA file cut into pieces that overlap by `longest` bases; others as they are.

    So a chromosome is compared piece by piece, as the places of a list are, and every row of at most `longest` bases
    that is in a record is in one of its pieces.
    """
    whole, sequences = rows.intervals, rows.sequences
    if whole is None or not isinstance(sequences, InGenome) or rows.is_listed:
        return rows
    length, step = LONGEST * longest, (LONGEST - 1) * longest
    n_bases = whole.end - whole.start
    n_each = np.where(n_bases > length, -(-(n_bases - longest) // step), 1)
    row = np.repeat(np.arange(len(rows)), n_each)
    start = spread(np.zeros(len(rows), np.int64), n_each) * step
    end = np.where(n_each[row] > 1, np.minimum(start + length, n_bases[row]), n_bases[row])
    pieces = replace(whole.take(row), start=start, end=end)
    return replace(
        rows, file=rows.file[row], line=rows.line[row], label=rows.label[row], intervals=pieces,
        sequences=InGenome(sequences.genome, pieces),
    )  # fmt: skip


def on_same_contigs(train: Rows, test: Rows) -> tuple[Intervals, Intervals]:
    """The intervals of two lists, those of the second with the contigs' numbers of the first.

    A contig that one list calls `chr1` and the other `1` is the same, unless either has both names.
    """
    assert train.intervals is not None
    assert test.intervals is not None
    ours = {name: number for number, name in enumerate(train.contigs)}
    renamed = {}
    for name in test.contigs:
        others = [other for other in other_names(name) if other in ours and other not in test.contigs]
        if name not in ours and others:
            renamed[name] = others[0]
    numbers = [ours.get(renamed.get(name, name), len(ours) + i) for i, name in enumerate(test.contigs)]
    if renamed:
        pairs = ", ".join(f"{name} is {other}" for name, other in list(renamed.items())[:3])
        log.info("%s: contigs are named as in %s: %s%s", test.path, train.path, pairs, " ..." * (len(renamed) > 3))
    if all(number >= len(ours) for number in numbers):
        log.warning("%s and %s: no contig is in both; are they of one genome?", train.path, test.path)
    return train.intervals, replace(test.intervals, contig=np.array(numbers, np.int64)[test.intervals.contig])
