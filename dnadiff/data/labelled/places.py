"""Places of a list on the genome at hand: contigs by any of their names, and whether it is the right assembly."""

from __future__ import annotations

import logging
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff.config import read_yaml
from dnadiff.data.bed import N_SHOWN, Intervals, aliases, spelt_out
from dnadiff.data.fasta import Genome
from dnadiff.data.leakage.files import Places
from dnadiff.data.leakage.ranges import Ints
from dnadiff.data.leakage.sequences import InGenome, InMemory
from dnadiff.data.markov import LETTER_INDEX
from dnadiff.errors import InputError

log = logging.getLogger("dnadiff")
OnBad = Literal["error", "skip"]
METADATA = "metadata.yaml"
ASSEMBLIES = {  # a contig and its length in bases
    "GRCh38": ("chr1", 248956422),
    "GRCm38": ("chr1", 195471971),
    "WBcel235": ("chrI", 15072434),
    "BDGP6": ("chr2L", 23513712),
}


class Placed(NamedTuple):
    """Places with their bases.

    Attributes:
        sequences: read 5' to 3' on the strand of each place.
        intervals: with contigs numbered as in the genome.
    """

    sequences: InMemory
    intervals: Intervals


def read_places(places: Places, genome: Genome, *, where: str, on_bad: OnBad) -> Placed:
    """The bases of a list's places.

    Args:
        places: with contigs as the list names them.
        genome: they lie on.
        where: named in messages.
        on_bad: whether places that the genome does not have, or has only N at, are an error, or are left out.

    Raises:
        InputError: such places, the first of them spelt out; or none that can be used.
    """
    known = _numbers(genome)
    contig = np.array([known.get(name, -1) for name in places.names], np.int64)[places.intervals.contig]
    lengths = np.append(genome.index.lengths, 0)[contig]
    is_good = (contig >= 0) & (places.intervals.end <= lengths)
    found = replace(places.intervals, contig=contig)
    _complain(~is_good, places, genome, where, on_bad, "not in the genome; is it of another assembly?")
    good = found.take(is_good)
    rows = InGenome(genome, good)
    tokens = rows.read(0, len(good)) if len(good) else np.empty(0, np.uint8)
    is_letter = np.concatenate([[0], np.cumsum(LETTER_INDEX[tokens] >= 0)])
    ends = np.cumsum(rows.lengths)
    is_known = is_letter[ends] > is_letter[ends - rows.lengths]
    of_n = np.zeros(len(found), bool)
    of_n[np.flatnonzero(is_good)[~is_known]] = True
    _complain(of_n, places, genome, where, on_bad, "N alone in the genome")
    if not is_known.any():
        raise InputError(
            f"{where}: none of its {len(found):,} places is in {genome.path}; give the genome that it lists"
        )
    kept = np.repeat(is_known, rows.lengths)
    return Placed(InMemory.cut(tokens[kept], rows.lengths[is_known]), good.take(is_known))


def check_assembly(folder: Path, class_name: str, genome: Genome, *, on_bad: OnBad) -> None:
    """Compare the genome with the assembly that a set's metadata.yaml names, where it does and the assembly is known.

    Raises:
        InputError: a contig of that name has another length; a warning where bad places are left out.
    """
    url = _url(folder / METADATA, class_name)
    for assembly, (contig, length) in ASSEMBLIES.items():
        number = _numbers(genome).get(contig, -1) if assembly in url else -1
        if number >= 0 and genome.index.lengths[number] != length:
            text = (
                f"{genome.path}: its {genome.index.names[number]} has {genome.index.lengths[number]:,} bases, that of "
                f"{assembly}, on which {folder.name} places {class_name!r}, {length:,}; give that genome with --ref or "
                f"data.refs.{class_name}=FASTA"
            )
            if on_bad == "error":
                raise InputError(text)
            log.warning("%s", text)


def _url(metadata: Path, class_name: str) -> str:
    """Where a class's genome came from; empty where that is not said."""
    try:
        return str(read_yaml(metadata)["classes"][class_name]["url"])
    except (InputError, KeyError, TypeError):
        return ""


def _numbers(genome: Genome) -> dict[str, int]:
    """Numbers of contigs by every name that means them: their own, the other tradition's, without a version."""
    plain = {name: re.sub(r"\.\d+$", "", name) for name in genome.numbers}
    n_claims = Counter(plain.values())
    without_version = {short: genome.numbers[name] for name, short in plain.items() if n_claims[short] == 1}
    others = {other: genome.numbers[name] for other, name in aliases(genome.numbers).items()}
    return {**without_version, **others, **genome.numbers}


def _complain(is_bad: NDArray[np.bool_], places: Places, genome: Genome, where: str, on_bad: OnBad, what: str) -> None:
    rows: Ints = np.flatnonzero(is_bad)
    if not len(rows):
        return
    some = places.intervals.take(rows[:N_SHOWN])
    shown = [
        f"line {line}: {places.names[contig]}:{start}-{end}"
        for line, contig, start, end in zip(some.line, some.contig, some.start, some.end, strict=True)
    ]
    count = f"{len(rows):,} of {len(is_bad):,} places are {what}"
    if on_bad == "error":
        raise InputError(
            f"{where}: {count} ({genome.path}: {spelt_out(shown, len(rows))}); give the right genome, or set "
            "data.on_bad=skip to leave them out"
        )
    log.warning("%s: %s; left out, the first at %s", where, count, shown[0])
