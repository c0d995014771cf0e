"""Intervals from BED files: 3 columns or more, plain or compressed, 0-based and half-open as everywhere here.

Rows that cannot be meant as they stand are never mended in silence: they are refused together, the first five spelt
out, or on request skipped and counted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.inputs import find_file, lines
from dnadiff.errors import InputError, nearest

log = logging.getLogger(__name__)
SPLITS = ("train", "valid", "test")
N_SHOWN = 5
MOST_DIGITS = 30  # of a position; Python refuses to read numbers of thousands
MOST_QUOTED = 60  # characters
Row = tuple[int, list[str]]  # line, from 1, and fields
_SPLIT_NUMBERS = {**{name: number for number, name in enumerate(SPLITS)}, "val": 1, "validation": 1}
_STRANDS = {"+": 1, "-": -1, ".": 1}
_ASSEMBLIES = {  # by the length of chromosome 1
    248956422: "hg38",
    249250621: "hg19",
    248387328: "T2T-CHM13",
    195471971: "mm10",
    195154279: "mm39",
}


@dataclass(frozen=True)
class Intervals:
    """Rows of a BED file, in file order; every array (rows,).

    Attributes:
        contig: int64, number of the contig in the genome's order.
        start, end: int64, bases.
        strand: int8, 1 or -1.
        split: int8, position in `SPLITS`; -1 where the fourth column names none.
        line: int64, counted from 1.
    """

    contig: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    strand: NDArray[np.int8]
    split: NDArray[np.int8]
    line: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Intervals:
        """Some of the rows: True in `chosen` (rows,), or those whose positions it lists."""
        return Intervals(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


class Parsed(NamedTuple):
    """What a list of intervals holds.

    Attributes:
        rows: contig, start, end, strand, split and line of each good row, as `Intervals` has them.
        shown: the first bad rows, spelt out.
        n_bad: how many bad rows there are.
    """

    rows: list[tuple[int, ...]]
    shown: list[str]
    n_bad: int

    def intervals(self) -> Intervals:
        """The good rows, of which there must be one."""
        contig, start, end, strand, split, line = np.array(self.rows, dtype=np.int64).T
        return Intervals(contig, start, end, strand.astype(np.int8), split.astype(np.int8), line)


def spelt_out(shown: list[str], n_bad: int) -> str:
    """Bad rows in one line: the first few, and how many there are in all."""
    more = f"; {n_bad} bad rows in all" if n_bad > N_SHOWN else ""
    return f"{'; '.join(shown[:N_SHOWN])}{more}"


def quoted(text: str) -> str:
    """What was found, for messages; of a long text the beginning."""
    return repr(text) if len(text) <= MOST_QUOTED else f"{text[:MOST_QUOTED]!r}..."


class _Genome(NamedTuple):
    names: dict[str, int]  # number of each contig, aliases among them where these are accepted
    lengths: list[int]
    aliases: dict[str, str]  # the genome's name by other names of the same contig


def read_bed(
    path: str | Path,
    contigs: dict[str, int],
    *,
    on_bad: Literal["error", "skip"] | None = None,
    rename_contigs: bool = False,
) -> Intervals:
    """Read intervals on a genome.

    Args:
        path: of the file; `~` is expanded.
        contigs: length of each contig of the genome, in its order.
        on_bad: what data.on_bad says of rows that cannot be used: an error, or skipped with a counted warning; None
            where there is no such setting: an error.
        rename_contigs: accept `chr1` for `1`, `chrM` for `MT`, and the other way round.

    Raises:
        InputError: bad rows, or no rows at all.
    """
    source = find_file(path)
    if next(lines(source), "").startswith(">"):
        raise InputError(f"{source}: line 1: begins with '>', as FASTA does; a genome is given with --ref")
    parsed = parse(bed_rows(lines(source)), contigs, rename_contigs=rename_contigs)
    if parsed.n_bad and on_bad != "skip":
        bad = spelt_out(parsed.shown, parsed.n_bad)
        otherwise = ", or set data.on_bad=skip to leave them out" if on_bad else ""
        raise InputError(f"{source}: {bad}; mend them{otherwise}")
    if parsed.n_bad:
        log.warning("%s: %s bad rows skipped, the first at %s", source, f"{parsed.n_bad:,}", parsed.shown[0])
    if not parsed.rows:
        raise InputError(f"{source}: no intervals; a row is contig, start and end, separated by tabs")
    found = parsed.intervals()
    _warn_of_overlaps(found, source)
    return found


def parse(rows: Iterable[Row], contigs: dict[str, int], *, rename_contigs: bool) -> Parsed:
    """Check rows, those of a BED file or of another list in BED's columns, against a genome."""
    genome = _genome(contigs, rename_contigs=rename_contigs)
    good: list[tuple[int, ...]] = []
    shown: list[str] = []
    n_bad = 0
    for number, columns in rows:
        row = _parse(columns, genome)
        if not isinstance(row, str):
            good.append((*row, number))
            continue
        n_bad += 1
        if n_bad <= N_SHOWN:
            shown.append(f"line {number}: {row}{_hint(columns[0], genome)}")
    return Parsed(good, shown, n_bad)


def bed_rows(text: Iterable[str]) -> Iterator[Row]:
    """Line number, from 1, and fields of each row of a BED file's lines; comments, track lines and one header row are
    passed over.
    """
    is_first = True
    for number, line in enumerate(text, start=1):
        if not line.strip() or line.lstrip().startswith("#") or line.split(None, 1)[0] in {"track", "browser"}:
            continue
        columns = _columns(line)
        is_header = is_first and _is_header(columns)
        is_first = False
        if not is_header:
            yield number, columns


def bed_header(text: Iterable[str]) -> list[str]:
    """Names of the columns, from a header row before the first interval, which may be a comment; empty without one."""
    for line in text:
        columns = _columns(line.lstrip("# "))
        if _is_header(columns):
            return [name.strip() for name in columns]
        if line.strip() and not line.strip().startswith(("#", "track", "browser")):
            return []
    return []


def _columns(line: str) -> list[str]:
    """Fields between tabs, or commas, or spaces."""
    if "\t" in line:
        return line.split("\t")
    words = line.split()
    return line.strip().split(",") if words and "," in words[0] else words


def _is_header(columns: list[str]) -> bool:
    return len(columns) >= 3 and "start" in columns[1].lower()


def aliases(contigs: Iterable[str]) -> dict[str, str]:
    """A genome's contigs by what the other tradition calls them, where that means one of them and no other."""
    known = list(contigs)
    claims = [(other, name) for name in known for other in other_names(name) if other != name]
    n_claims = Counter([*known, *(other for other, _ in claims)])
    return {other: name for other, name in claims if n_claims[other] == 1}


def other_names(name: str) -> tuple[str, ...]:
    """What the other tradition, UCSC's or Ensembl's, calls a contig."""
    if name in {"M", "MT", "chrM", "chrMT"}:
        return ("M", "MT", "chrM", "chrMT")
    return (name.removeprefix("chr"),) if name.startswith("chr") else (f"chr{name}",)


def _warn_of_overlaps(found: Intervals, source: Path) -> None:
    order = np.lexsort((found.end, found.start, found.contig))
    contig, start, end = found.contig[order], found.start[order], found.end[order]
    same = contig[1:] == contig[:-1]
    n_double = int(np.count_nonzero(same & (start[1:] == start[:-1]) & (end[1:] == end[:-1])))
    reach = np.maximum.accumulate(contig * (int(end.max()) + 1) + end)  # the furthest end so far, contig by contig
    n_overlapping = int(np.count_nonzero(contig[1:] * (int(end.max()) + 1) + start[1:] < reach[:-1]))
    if n_overlapping:
        log.warning("%s: %d rows overlap an earlier one, %d of them repeat one", source, n_overlapping, n_double)


def _genome(contigs: dict[str, int], *, rename_contigs: bool) -> _Genome:
    others = aliases(contigs)
    names = {name: number for number, name in enumerate(contigs)}
    accepted = {other: names[name] for other, name in others.items()} if rename_contigs else {}
    return _Genome({**names, **accepted}, list(contigs.values()), others)


def _parse(columns: list[str], genome: _Genome) -> tuple[int, int, int, int, int] | str:
    """Contig, start, end, strand and split of a row, or what is wrong with it."""
    if len(columns) < 3:
        return f"{len(columns)} columns where a row has contig, start and end, separated by tabs"
    contig, start_text, end_text = columns[0], columns[1].strip(), columns[2].strip()
    if contig not in genome.names:
        return f"contig {quoted(contig)} is not in the genome"
    for name, text in [("start", start_text), ("end", end_text)]:
        if not (text.isascii() and text.removeprefix("-").isdecimal() and len(text) <= MOST_DIGITS):
            return f"{name} {quoted(text)} is not a whole number in plain digits"
    start, end = int(start_text), int(end_text)
    number = genome.names[contig]
    if start < 0:
        return f"start {start} is negative; BED counts from 0"
    if end <= start:
        return f"end {end} is not beyond start {start}; BED is half-open, so an interval of one base ends at start + 1"
    if end > genome.lengths[number]:
        return f"end {end} is beyond {quoted(contig)}, which has {genome.lengths[number]} bases{_assembly(genome)}"
    strand = _STRANDS.get(columns[5].strip()) if len(columns) > 5 else 1
    if strand is None:
        return f"strand {quoted(columns[5])} is not one of + - ."
    return number, start, end, strand, _SPLIT_NUMBERS.get(columns[3].strip(), -1) if len(columns) > 3 else -1


def _hint(contig: str, genome: _Genome) -> str:
    """What an unknown contig may be; only for rows that are shown, as looking for the nearest name is slow."""
    if contig in genome.aliases and contig not in genome.names:
        return f", which has {genome.aliases[contig]!r}; set data.rename_contigs=true"
    return "" if contig in genome.names else nearest(contig, genome.names)


def _assembly(genome: _Genome) -> str:
    known = [_ASSEMBLIES[length] for length in genome.lengths[:1] if length in _ASSEMBLIES]
    return f" (is the BED of another assembly?{f' the genome looks like {known[0]}' if known else ''})"
