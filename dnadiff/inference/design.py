"""Hard constraints on DNA, as users write them, made into rules for a region of a sequence."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, NamedTuple, Self

import numpy as np
from Bio.Data import CodonTable
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, field_validator, model_validator

from dnadiff import dna
from dnadiff.config import Settings
from dnadiff.diffusion.constraints.automata import Blocks, Inside, Word, counted, required
from dnadiff.diffusion.constraints.lattice import FREE, Conflict, Lattice, Row, Rule, compile_rules
from dnadiff.errors import InputError
from dnadiff.vocab import DNA

IUPAC = {
    "A": "A", "C": "C", "G": "G", "T": "T", "U": "T", "R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC",
    "B": "CGT", "D": "AGT", "H": "ACT", "V": "ACG", "N": "ACGT",
}  # fmt: skip
BASES = "ACGT"
COMPLEMENT = str.maketrans("ACGTURYKMBDHVacgturykmbdhv", "TGCAAYRMKVHDBtgcaayrmkvhdb")  # S, W and N are their own
MOST_WORDS = 4096  # that one motif of IUPAC codes may stand for
SHOWN = 12  # bases before the place of a conflict

Motifs = Annotated[
    tuple[str, ...], BeforeValidator(lambda given: given.split(",") if isinstance(given, str) else given)
]


class Site(NamedTuple):
    """A region to be filled, on the strand that constraints are about.

    Attributes:
        name: for messages.
        text: the region with its flanks; at positions that are kept, what stands there.
        free: (length,) bool: positions to be filled; in FASTA mode those whose code is not a base.
        start, end: the region in `text`.
        any_base: whether free positions may take any base; else what their IUPAC codes allow.
    """

    name: str
    text: str
    free: NDArray[np.bool_]
    start: int
    end: int
    any_base: bool

    @classmethod
    def of_gaps(cls, name: str, text: str) -> Site:
        """A sequence that is to be filled where it has an IUPAC code that is no base.

        Raises:
            InputError: it has something else.
        """
        free = dna.encode(text, where=name) == DNA.unknown
        return cls(name, text, free, 0, len(text), any_base=False)

    @property
    def is_open(self) -> bool:
        """Whether every free position may take any base."""
        return self.any_base or set(np.array(list(self.text.upper()))[self.free]) <= {"N"}

    def filled(self, tokens: NDArray[np.uint8]) -> str:
        """The region with what was drawn, in the case of what it replaces; all else as it was."""
        characters = [
            (new.lower() if old.islower() else new) if free else old
            for old, new, free in zip(self.text, dna.decode(tokens), self.free, strict=True)
        ]
        return "".join(characters[self.start : self.end])


class Placed(NamedTuple):
    """A motif at an offset from the region's start."""

    motif: str
    offset: int

    @classmethod
    def parse(cls, text: str) -> Placed:
        """`TATAAA@30`."""
        motif, _, offset = text.partition("@")
        if not (offset.isascii() and offset.isdigit()):
            raise ValueError(f"{text!r}: write MOTIF@OFFSET, such as TATAAA@30, counted from 0 at the region's start")
        return cls(_checked(motif), int(offset))


class Constraints(Settings):
    """What must hold of a region once it is filled."""

    avoid: Motifs = ()
    """Words that occur on neither strand, nor across the region's borders; IUPAC codes mean any of their bases."""
    max_homopolymer: int | None = Field(None, ge=1)
    """Longest run of one base, across the region's borders too."""
    contain: Motifs = ()
    """Motifs that must each occur somewhere in the region, on its strand."""
    place: Motifs = ()
    """Motifs at given places: MOTIF@OFFSET, counted from 0 at the region's start."""
    ban: str = ""
    """Bases that are never filled in, such as T or CG."""
    gc: tuple[float, float] | None = None
    """Least and greatest share of G and C in the region."""
    codons: int | None = Field(None, ge=0, le=2)
    """Keep the protein: bases before the region's first whole codon (GFF's phase). A codon cut by the sequence's end is
    free."""
    genetic_code: int = 1
    """NCBI's number of the genetic code."""

    @field_validator("avoid", "contain")
    @classmethod
    def _check_motifs(cls, motifs: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked(motif) for motif in motifs)

    @field_validator("place")
    @classmethod
    def _check_places(cls, places: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(f"{motif}@{offset}" for motif, offset in map(Placed.parse, places))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if set(self.ban.upper()) - set(BASES) or set(self.ban.upper()) == set(BASES):
            raise ValueError(f"ban={self.ban}: name one to three of the bases A C G T, such as ban=T")
        if self.gc and not 0 <= self.gc[0] <= self.gc[1] <= 1:
            raise ValueError(f"gc={list(self.gc)}: give the least and the greatest share, such as gc=[0.4,0.6]")
        if self.genetic_code not in CodonTable.unambiguous_dna_by_id:
            known = ", ".join(map(str, sorted(CodonTable.unambiguous_dna_by_id)))
            raise ValueError(f"genetic_code={self.genetic_code}: NCBI has {known}")
        return self

    @property
    def asks_nothing(self) -> bool:
        """Whether every filling is as good as any other."""
        return all(getattr(self, name) == field.default for name, field in Constraints.model_fields.items())

    @property
    def reach(self) -> int:
        """Bases of each flank that constraints look at."""
        return max(2, self.max_homopolymer or 0, *map(len, self.avoid))

    def lattice(self, site: Site) -> Lattice:
        """The ways to fill a site.

        Raises:
            InputError: there is none; the message says which constraints are in the way, and where.
        """
        row = Row(_letters(site), self._allowed(site), site.start, site.end)
        found = compile_rules(list(self._rules(site)), row)
        if isinstance(found, Lattice):
            return found
        raise InputError(_unkept(found, site))

    def check(self, sites: Sequence[Site]) -> None:
        """Find out before anything is drawn whether all sites can be filled.

        Raises:
            InputError: one cannot; see `lattice`.
        """
        for site in sites:
            if not (self.asks_nothing and site.is_open):
                self.lattice(site)

    def _allowed(self, site: Site) -> NDArray[np.bool_]:
        """(length, 4): bases that may be filled in; what is kept allows itself."""
        codes = [IUPAC[code] for code in site.text.upper()]
        allowed = np.array([[base in code for base in BASES] for code in codes], dtype=bool).reshape(-1, 4)
        if site.any_base:
            allowed[site.free] = True
        allowed[site.free] &= np.array([base not in self.ban.upper() for base in BASES])
        _need_choice(allowed, site, f"ban={self.ban}")
        for motif, offset in map(Placed.parse, self.place):
            at, label = site.start + offset, f"place={motif}@{offset}"
            if at + len(motif) > site.end:
                raise InputError(
                    f"{site.name}: {label} reaches beyond its {site.end - site.start} bases; place it earlier"
                )
            allowed[at : at + len(motif)] &= [[base in IUPAC[code] for base in BASES] for code in motif]
            _need_choice(allowed, site, label)
        return allowed

    def _rules(self, site: Site) -> Iterator[Rule]:
        for motif in self.avoid:
            words = _words(motif)
            yield Rule(f"avoid={motif}", words | {_opposite(word) for word in words})
        if self.max_homopolymer is not None:
            runs = frozenset((letter,) * (self.max_homopolymer + 1) for letter in range(4))
            yield Rule(f"max_homopolymer={self.max_homopolymer}", runs)
        for motif in self.contain:
            yield Rule(f"contain={motif}", automaton=_contains(motif))
        if self.gc is not None:
            low, high = self.gc
            yield Rule(f"gc=[{low:g},{high:g}]", automaton=_gc(low, high))
        if self.codons is not None:
            blocks = self._codons(site, self.codons)
            yield Rule(f"codons={self.codons}", automaton=lambda _: blocks)

    def _codons(self, site: Site, phase: int) -> Blocks:
        """Every whole codon that lies in the region or overlaps it may become a synonym, and nothing else."""
        first = site.start + phase - 3 * (phase > 0)
        first, end = first + 3 * (first < 0), site.end + (site.start + phase - site.end) % 3
        end -= 3 * (end > len(site.text))
        codons = [site.text[at : at + 3].upper().replace("U", "T") for at in range(first, end, 3)]
        for number, codon in enumerate(codons):
            if set(codon) - set(BASES):
                at = first + 3 * number - site.start
                raise InputError(
                    f"{site.name}: codons={phase}: what {codon} at position {at} (0-based) encodes is not known; "
                    "give a reference that says it (--ref and --bed), or leave codons out"
                )
        return Blocks(first - site.start, [_synonyms(codon, self.genetic_code) for codon in codons], 4)


def _checked(motif: str) -> str:
    """In capitals.

    Raises:
        ValueError: it is empty, holds what is no IUPAC code, or stands for too many words.
    """
    upper = motif.strip().upper()
    strange = [code for code in upper if code not in IUPAC]
    if strange or not upper:
        raise ValueError(f"{motif!r} holds {repr(strange[0]) if strange else 'nothing'}; write bases or IUPAC codes")
    if math.prod(len(IUPAC[code]) for code in upper) > MOST_WORDS:
        raise ValueError(f"{motif!r} stands for over {MOST_WORDS:,} words; use fewer ambiguous codes")
    return upper


def _words(motif: str) -> frozenset[Word]:
    """Every sequence that a motif means, as numbers of letters."""
    return frozenset(itertools.product(*([BASES.index(base) for base in IUPAC[code]] for code in motif)))


def _opposite(word: Word) -> Word:
    """The reverse complement."""
    return tuple(3 - letter for letter in reversed(word))


def _contains(motif: str) -> Callable[[int], Inside]:
    return lambda n: required(_words(motif), 4, n)


def _gc(low: float, high: float) -> Callable[[int], Inside]:
    """Rounded such that 0.6 of 5 bases is 3."""
    return lambda n: counted((1, 2), math.ceil(low * n - 1e-9), math.floor(high * n + 1e-9), 4, n)


def _synonyms(codon: str, genetic_code: int) -> list[Word]:
    """The codons of the same amino acid; stop codons are synonyms of each other."""
    code = CodonTable.unambiguous_dna_by_id[genetic_code].forward_table
    codons = map("".join, itertools.product(BASES, repeat=3))
    return [tuple(map(BASES.index, other)) for other in codons if code.get(other, "*") == code.get(codon, "*")]


def _letters(site: Site) -> NDArray[np.int64]:
    """(length,): numbers of bases, 4 where one is not known, `FREE` where one is to be filled in."""
    number = {**{base: at for at, base in enumerate(BASES)}, "U": BASES.index("T")}
    given = np.array([number.get(code, len(BASES)) for code in site.text.upper()], dtype=np.int64)
    return np.where(site.free, FREE, given)


def _need_choice(allowed: NDArray[np.bool_], site: Site, label: str) -> None:
    stuck = np.flatnonzero(~allowed.any(1))
    if stuck.size:
        raise InputError(
            f"{site.name}: {label} leaves nothing for position {stuck[0] - site.start} (0-based), where "
            f"{site.text[stuck[0]]!r} is given; change one of them"
        )


def _unkept(conflict: Conflict, site: Site) -> str:
    labels = " and ".join(conflict.labels)
    if conflict.position is None:
        where = f"by any filling of its {site.end - site.start} bases"
    else:
        around = site.text[max(0, conflict.position - SHOWN) : conflict.position + 1]
        where = f"at position {conflict.position - site.start} (0-based), the last of {around}"
    mend = "leave one of them out, or fill more" if len(conflict.labels) > 1 else "loosen it, or fill more"
    return f"{site.name}: {labels} cannot be kept {where}; {mend}"
