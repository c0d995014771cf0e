"""Variants from VCF files, plain or compressed, checked against a genome and left-aligned.

POS is 1-based in the file and 0-based from here on. A record is never mended: each of its alternatives is a variant,
or has a reason why it is none. Trimming and left-alignment are those of Tan et al. 2015 ("Unified representation of
genetic variants"), carried on until nothing is left to trim: an insertion has an empty `ref`, a deletion an empty
`alt`, and all ways to write the same change of the genome become one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dnadiff import dna
from dnadiff.data.bed import aliases, quoted
from dnadiff.data.fasta import Genome
from dnadiff.data.inputs import find_file, lines
from dnadiff.errors import InputError
from dnadiff.vocab import DNA

COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
MISMATCH = "ref_mismatch"
REASONS = {
    "contig": "its contig is not in the genome",
    "position": "it lies at POS 0 or reaches past the end of its contig",
    MISMATCH: "REF is not what the genome has there",
    "unknown": "REF, ALT or the genome has a letter other than A, C, G and T",
    "symbolic": "ALT is symbolic or a breakend",
    "spanning": "ALT is *, an overlapping deletion",
    "no_alt": "there is no ALT",
    "same": "ALT is REF",
    "long": "it is longer than the window leaves room for",
}  # why an alternative is not scored, by the word that stands for it in files
MOST_BASES = 1 << 20
_LETTERS = bytes(DNA.letters)
_AHEAD = 64  # bases read at a time on the way to the left


class Variant(NamedTuple):
    """One change of the genome, trimmed and left-aligned.

    Attributes:
        contig: its number in the genome.
        start: of what is replaced, 0-based.
        ref, alt: tokens of what is replaced and of what replaces it, one byte each; one of them may be empty.
    """

    contig: int
    start: int
    ref: bytes
    alt: bytes


class Record(NamedTuple):
    """A row of a VCF file.

    Attributes:
        columns: as they stand in the file.
        variants: for each alternative what it is, or one of `REASONS`.
    """

    columns: list[str]
    variants: list[Variant | str]


class VcfFile:
    """A VCF file and the genome that it is about; read anew, from the first row, as often as is asked.

    Attributes:
        path: as the user named it.
        header: lines that begin with `#`, the last with the columns' names.
    """

    def __init__(
        self, path: str | Path, genome: Genome, *, longest: int = MOST_BASES, rename_contigs: bool = False
    ) -> None:
        """Read the header.

        Args:
            longest: bases of the longest allele, trimmed, that is of use.
            rename_contigs: read `chr1` as `1`, `chrM` as `MT`, and the other way round.

        Raises:
            InputError: no such file, or no VCF.
        """
        self.path = find_file(path)
        self._genome = genome
        self._numbers = dict(genome.numbers)
        self._aliases = aliases(genome.numbers)
        self._longest, self._rename = longest, rename_contigs
        self.header = self._read_header()

    def records(self) -> Iterator[Record]:
        """All rows, in the order of the file.

        Raises:
            InputError: a row that is none, or a contig that the genome has under another name.
        """
        for number, line in enumerate(lines(self.path), start=1):
            if line and not line.startswith("#"):
                columns = line.split("\t")
                yield Record(columns, self._variants(columns, number))

    def _read_header(self) -> list[str]:
        found = []
        for line in lines(self.path):
            if not line.startswith("#"):
                break
            found.append(line)
        if not found or not found[0].startswith("##fileformat=VCF"):
            raise InputError(f"{self.path}: line 1: is no VCF file, which begins with ##fileformat=VCFv4.2 or the like")
        if tuple(found[-1].split("\t")[: len(COLUMNS)]) != COLUMNS:
            columns = " ".join(COLUMNS)
            raise InputError(f"{self.path}: line {len(found)}: the last line of the header must be {columns}, by tabs")
        return found

    def _variants(self, columns: list[str], line: int) -> list[Variant | str]:
        where = f"{self.path}: line {line}"
        if len(columns) < len(COLUMNS):
            raise InputError(f"{where}: {len(columns)} columns where there must be 8 or more, separated by tabs")
        if not all(column.isprintable() for column in columns):
            raise InputError(f"{where}: holds a control character; remove it")
        name, position, _, ref, alternatives = columns[:5]
        if not (position.isascii() and position.isdigit() and len(position) < 19):
            raise InputError(f"{where}: POS {quoted(position)} is no whole number; mend the row")
        contig = self._contig(name, where)
        start = int(position) - 1
        return [self._variant(contig, start, ref, alternative) for alternative in alternatives.split(",")]

    def _contig(self, name: str, where: str) -> int | None:
        if name in self._numbers:
            return self._numbers[name]
        if name not in self._aliases:
            return None
        meant = self._aliases[name]
        if not self._rename:
            raise InputError(f"{where}: the genome calls {name!r} {meant!r}; set rename_contigs=true")
        return self._numbers[meant]

    def _variant(self, contig: int | None, start: int, ref: str, alt: str) -> Variant | str:
        reason = _unusable(alt)
        if reason or contig is None:
            return reason or "contig"
        if start < 0 or start + len(ref) > int(self._genome.index.lengths[contig]):
            return "position"
        try:
            old, new = (dna.encode(allele).tobytes() for allele in (ref, alt))
        except InputError:
            return "unknown"
        here = self._tokens(contig, start, start + len(old)) if old else b""
        if any(one != other for one, other in zip(old, here, strict=True) if one in _LETTERS and other in _LETTERS):
            return MISMATCH
        if not old or not new or (old + new + here).strip(_LETTERS):
            return "unknown"
        if old == new:
            return "same"
        variant = self._aligned(contig, start, old, new)
        return "long" if max(len(variant.ref), len(variant.alt)) > self._longest else variant

    def _aligned(self, contig: int, start: int, ref: bytes, alt: bytes) -> Variant:
        """Trimmed at both ends, and moved left while that changes nothing."""
        while ref and alt and ref[-1] == alt[-1]:
            ref, alt = ref[:-1], alt[:-1]
        while ref and alt and ref[0] == alt[0]:
            ref, alt, start = ref[1:], alt[1:], start + 1
        if not (ref and alt):
            moved = self._room(contig, start, ref or alt)
            start, turn = start - moved, len(ref or alt) - moved % len(ref or alt)
            ref, alt = ref[turn:] + ref[:turn], alt[turn:] + alt[:turn]
        return Variant(contig, start, ref, alt)

    def _room(self, contig: int, start: int, unit: bytes) -> int:
        """How many bases before `start` go on, to the left, with what ends there as repeats of the unit."""
        moved = 0
        while moved < start:
            ahead = self._tokens(contig, max(0, start - moved - _AHEAD), start - moved)
            for base in reversed(ahead):
                if base != unit[-1 - moved % len(unit)]:
                    return moved
                moved += 1
        return moved

    def _tokens(self, contig: int, start: int, end: int) -> bytes:
        return self._genome.tokens(self._genome.index.names[contig], start, end).tobytes()


def _unusable(alt: str) -> str | None:
    if alt in {"", "."}:
        return "no_alt"
    if alt == "*":
        return "spanning"
    return "symbolic" if set(alt) & set("<>[].") else None
