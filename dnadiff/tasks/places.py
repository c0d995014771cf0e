"""Sequences of a file, or the regions of a BED file in them: listed at once, read when they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dnadiff import dna
from dnadiff.data.bed import read_bed
from dnadiff.data.fasta import Genome
from dnadiff.data.inputs import find_file, lines
from dnadiff.data.leakage.files import Table, first_line, read_rows
from dnadiff.errors import InputError, counted
from dnadiff.files import sha256

Tokens = NDArray[np.uint8]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Places:
    """Stretches of sequences, 0-based, half-open.

    Attributes:
        names: of the sequence that each lies in.
        start, end: (n,).
        strand: (n,) 1, or -1 for those that are read backwards.
        lengths: (n,) bases of the whole sequence.
        of_bed: whether they are regions; else they are whole sequences.
        fingerprint: of the files.
    """

    names: list[str]
    start: Ints
    end: Ints
    strand: Ints
    lengths: Ints
    of_bed: bool
    fingerprint: list[str]
    _read: Callable[[int, int, int], Tokens]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def n_bases(self) -> int:
        """In all places together."""
        return int((self.end - self.start).sum())

    def says(self) -> str:
        """`3 regions`."""
        return counted(len(self), "region" if self.of_bed else "sequence")

    def label(self, number: int) -> str:
        """`chr1:0-100(-)` for a region; the name for a whole sequence."""
        if not self.of_bed:
            return self.names[number]
        reverse = "(-)" if self.strand[number] < 0 else ""
        return f"{self.names[number]}:{self.start[number]}-{self.end[number]}{reverse}"

    def tokens(self, number: int) -> Tokens:
        """A place by itself, on its strand."""
        return self._on_strand(number, int(self.start[number]), int(self.end[number]))

    def window(self, number: int, size: int) -> tuple[Tokens, int]:
        """A place with its flanks on its strand, and where it begins in them.

        Args:
            size: bases of both together, fewer where the sequence ends; never less than the place.
        """
        start, end = int(self.start[number]), int(self.end[number])
        spare = max(0, size - (end - start))
        first = max(0, start - spare // 2)
        last = min(int(self.lengths[number]), end + spare - spare // 2)
        return self._on_strand(number, first, last), start - first if self.strand[number] > 0 else last - end

    def _on_strand(self, number: int, first: int, last: int) -> Tokens:
        tokens = self._read(number, first, last)
        return dna.reverse_complement(tokens) if self.strand[number] < 0 else tokens


def open_places(fasta: str, bed: str | None) -> Places:
    """Rows of a BED file, records of a FASTA file, or rows of a table.

    Raises:
        InputError: files that cannot be used, or a record without bases.
    """
    source = find_file(fasta)
    if bed is None and not first_line(lines(source)).startswith(">"):
        return _rows(source)
    genome = Genome.open(fasta)
    if bed is None:
        return _records(genome)
    rows = read_bed(bed, genome.contigs)
    names, files = genome.index.names, [genome.fingerprint(), sha256(find_file(bed))]
    return Places(
        [names[number] for number in rows.contig], rows.start, rows.end, rows.strand.astype(np.int64),
        genome.index.lengths[rows.contig], True, files,
        lambda number, first, last: genome.tokens(names[rows.contig[number]], first, last),
    )  # fmt: skip


def _records(genome: Genome) -> Places:
    names, lengths = list(genome.index.names), genome.index.lengths
    if not lengths.all():
        raise InputError(f"{genome.path}: {names[int(lengths.argmin())]!r} has no bases; leave it out")
    one = np.ones_like(lengths)
    return Places(
        names, 0 * one, lengths, one, lengths, False, [genome.fingerprint()],
        lambda number, first, last: genome.tokens(names[number], first, last),
    )  # fmt: skip


def _rows(source: Path) -> Places:
    """Rows of a table, named by their lines."""
    table = read_rows(source, None)
    if not isinstance(table, Table):
        raise InputError(f"{source}: lists places; give the genome with --fasta and the places with --bed")
    tokens, lengths, ends = table.sequences
    names, one = [f"{source.name}:{line}" for line in table.line.tolist()], np.ones_like(lengths)
    return Places(
        names, 0 * one, lengths, one, lengths, False, [sha256(source)],
        lambda number, first, last: tokens[ends[number] + first : ends[number] + last],
    )  # fmt: skip
