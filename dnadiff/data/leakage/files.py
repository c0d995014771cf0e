"""Rows from one file: a table of sequences, plain text, a list of places. What it is, is told by its first line.

Places are 0-based and half-open.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnadiff.data.bed import N_SHOWN, Intervals, Row, bed_rows, parse, spelt_out
from dnadiff.data.fasta import Genome
from dnadiff.data.inputs import LONGEST_LINE_BYTES, lines
from dnadiff.data.leakage.ranges import Ints
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.dna import ENCODE, INVALID
from dnadiff.errors import InputError

SEQUENCE, LABEL = {"sequence", "seq"}, {"label", "class"}
CONTIG, START, END, STRAND = {"region", "chrom", "contig"}, {"start"}, {"end"}, {"strand"}
LARGEST_PLACE = 1 << 36  # beyond every chromosome: the length of contigs whose genome is not at hand
MISSING = {"", "nan"}
KINDS = (
    "FASTA (begins with '>'), a table with a column `sequence`, a list with columns `region,start,end`, BED, "
    "or a sequence in each line"
)
_SYMBOLS = np.flatnonzero(ENCODE != INVALID).astype(np.uint8).tobytes()


class Table(NamedTuple):
    """Rows of sequence.

    Attributes:
        line: (rows,) int64.
        labels: the class of each row; None where the file has no such column.
        sequences: tokens.
    """

    line: Ints
    labels: list[str] | None
    sequences: InMemory


class Places(NamedTuple):
    """Rows of places on a genome.

    Attributes:
        intervals: with contigs numbered as in the genome; without it, as in `names`.
        names: of contigs, as the file has them.
    """

    intervals: Intervals
    names: tuple[str, ...]

    @property
    def line(self) -> Ints:
        """(rows,) int64."""
        return self.intervals.line


def read_rows(path: Path, genome: Genome | None) -> Table | Places:
    """Read a file that is not FASTA.

    Args:
        path: of the file.
        genome: what places are places on; None where it is not at hand.

    Raises:
        InputError: a file of no known kind, or rows that cannot be used, with their lines.
    """
    first = first_line(lines(path))
    if not first:
        raise InputError(f"{path}: the file is empty; what is read: {KINDS}")
    if not _problem(first.strip()):
        return _sequences(path, [(number, line.strip()) for number, line in enumerate(lines(path), 1) if line.strip()])
    delimiter = max(",", "\t", ";", key=first.count)
    header = _header(first, delimiter)
    if SEQUENCE & set(header):
        return _table(path, _cells(path, delimiter), header)
    if all(names & set(header) for names in (CONTIG, START, END)):
        return _places(path, _as_bed(path, _cells(path, delimiter), header), genome)
    if first.startswith(("#", "track", "browser")) or len(first.split()) >= 3:
        return _places(path, bed_rows(lines(path)), genome)
    raise InputError(f"{path}: line 1: {first[:40]!r}: none of what is read: {KINDS}")


def first_line(text: Iterable[str]) -> str:
    """The first line that is not blank; empty if there is none."""
    return next((line for line in text if line.strip()), "")


def column(path: Path, header: Sequence[str], names: set[str]) -> int:
    """Where one of the names is; -1 where none is.

    Raises:
        InputError: several of them are there.
    """
    found = [number for number, name in enumerate(header) if name in names]
    if len(found) > 1:
        both = " and ".join(repr(header[number]) for number in found)
        raise InputError(f"{path}: columns {both} mean the same; keep one of them")
    return found[0] if found else -1


def _header(first: str, delimiter: str) -> list[str]:
    """Names of columns in lower case, if the line is a header; quotes may hide a delimiter."""
    try:
        return [cell.strip(' "').lower() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    except csv.Error:
        return []


def _cells(path: Path, delimiter: str) -> Iterator[Row]:
    """Line and cells of each row of a table below its header."""
    reader = csv.reader((f"{line}\n" for line in lines(path)), delimiter=delimiter, strict=True)
    n_cells, most = 0, csv.field_size_limit(LONGEST_LINE_BYTES)  # sequences are longer than spreadsheets' cells
    try:
        for cells in filter(None, reader):
            if n_cells and len(cells) != n_cells:
                raise csv.Error(f"{len(cells)} cells where the header has {n_cells}")
            if n_cells:
                yield reader.line_num, cells
            n_cells = len(cells)
    except csv.Error as error:
        raise InputError(f"{path}: line {reader.line_num}: {error}; mend the row") from None
    finally:
        csv.field_size_limit(most)


def _table(path: Path, rows: Iterator[Row], header: list[str]) -> Table:
    at, label = column(path, header, SEQUENCE), column(path, header, LABEL)
    chosen = [(line, cells[at].strip(), cells[label].strip()) for line, cells in rows]
    table = _sequences(path, [(line, sequence) for line, sequence, _ in chosen])
    return table._replace(labels=[name for _, _, name in chosen]) if label >= 0 else table


def _sequences(path: Path, rows: list[tuple[int, str]]) -> Table:
    """Encode sequences, each given with its line."""
    bad = [(line, problem) for line, text in rows if (problem := _problem(text))]
    if bad:
        shown = [f"line {line}: {problem}" for line, problem in bad[:N_SHOWN]]
        raise InputError(f"{path}: {spelt_out(shown, len(bad))}; mend them, or leave them out")
    if not rows:
        raise InputError(f"{path}: no rows below the header")
    tokens = ENCODE[np.frombuffer("".join(text for _, text in rows).encode(), np.uint8)]
    lengths = np.array([len(text) for _, text in rows], np.int64)
    return Table(np.array([line for line, _ in rows], np.int64), None, InMemory.cut(tokens, lengths))


def _problem(text: str) -> str:
    """What is wrong with a sequence; empty if nothing is."""
    if text.lower() in MISSING:
        return "no sequence"
    wrong = text.encode("ascii", "replace").translate(None, _SYMBOLS)
    if not wrong:
        return ""
    at = next(at for at, symbol in enumerate(text) if not symbol.isascii() or ord(symbol) not in _SYMBOLS)
    return f"{text[at]!r} at position {at} (0-based) is not a base or an IUPAC code"


def _places(path: Path, rows: Iterable[Row], genome: Genome | None) -> Places:
    listed = list(rows)
    names = tuple(dict.fromkeys(columns[0] for _, columns in listed))
    contigs = genome.contigs if genome else dict.fromkeys(names, LARGEST_PLACE)
    parsed = parse(listed, contigs, rename_contigs=True)
    if parsed.n_bad:
        raise InputError(f"{path}: {spelt_out(parsed.shown, parsed.n_bad)}; mend them, or leave them out")
    if not parsed.rows:
        raise InputError(f"{path}: no rows; a list has places below its header")
    return Places(parsed.intervals(), names)


def _as_bed(path: Path, rows: Iterator[Row], header: list[str]) -> Iterator[Row]:
    """Rows of a list with a header in the order of BED's columns."""
    contig, start, end, strand = (column(path, header, names) for names in (CONTIG, START, END, STRAND))
    for line, cells in rows:
        yield line, [cells[contig], cells[start], cells[end], "", "", cells[strand] or "." if strand >= 0 else "."]
