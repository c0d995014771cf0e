"""Which bases are trained on, validated on and tested on.

A split gives every base of the genome to one set at most, so windows that lie within one run of a split never share a
base with another set. By blocks it works for a genome of a single contig.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from dnadiff.config import Settings
from dnadiff.data.bed import N_SHOWN, other_names
from dnadiff.errors import InputError, nearest

LARGEST_BLOCK_BP = 1 << 20
SMALLEST_BLOCK_BP = 1 << 12  # of genomes that hold ten of them: a plasmid still has windows for each split


Names = Annotated[tuple[str, ...], BeforeValidator(lambda given: (given,) if isinstance(given, str | int) else given)]


class Auto(Settings):
    """The BED's fourth column if it names splits; else the toy genome's chromosomes; else blocks."""

    kind: Literal["auto"] = "auto"


class ByColumn(Settings):
    """As the fourth column of the BED says: train, valid (val, validation) or test."""

    kind: Literal["column"] = "column"


class ByChromosome(Settings):
    """Whole contigs."""

    kind: Literal["chromosome"] = "chromosome"
    valid: Names = ()
    """Contigs for validation."""
    test: Names = ()
    """Contigs for testing."""
    train: Names | None = None
    """Contigs for training; null: all others."""

    @model_validator(mode="after")
    def _check_disjoint(self) -> Self:
        names = [*self.valid, *self.test, *(self.train or ())]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"contigs in more than one split: {', '.join(twice)}; name each once")
        return self


class ByBlocks(Settings):
    """Disjoint blocks of equal size, drawn at random over the whole genome."""

    kind: Literal["blocks"] = "blocks"
    block_bp: int | None = Field(None, gt=0)
    """Bases in a block; null: the power of two next below a hundredth of the genome, 2^12 to 2^20."""
    valid: float = Field(0.05, ge=0, lt=1)
    """Share of blocks for validation; at least one block if it is not 0."""
    test: float = Field(0.05, ge=0, lt=1)
    """Share of blocks for testing; at least one block if it is not 0."""
    seed: int = Field(0, ge=0)
    """Of the draw; apart from the run's seed, so that runs of all seeds hold out the same bases."""

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.valid + self.test >= 1:
            raise ValueError(f"valid and test take {self.valid + self.test:g} of the blocks; leave some for training")
        return self


Split = Annotated[Auto | ByColumn | ByChromosome | ByBlocks, Field(discriminator="kind")]


class Runs(NamedTuple):
    """The genome cut where its split changes, and at contigs' ends; in order, contigs laid end to end.

    Attributes:
        start: (runs + 1,) int64, bases from the genome's beginning; the last is the genome's end.
        split: (runs,) int8, position in `bed.SPLITS`, -1 for none; None where rows name their split themselves.
    """

    start: NDArray[np.int64]
    split: NDArray[np.int8] | None


def by_column(contigs: dict[str, int]) -> Runs:
    """Contigs, where rows name their split themselves."""
    lengths = np.fromiter(contigs.values(), np.int64, len(contigs))
    return Runs(np.concatenate([[0], np.cumsum(lengths)]), None)


def by_chromosome(contigs: dict[str, int], split: ByChromosome) -> Runs:
    """Raises: InputError: a name that the genome does not have."""
    names = [*split.valid, *split.test, *(split.train or ())]
    check_known(names, contigs, "data.split", mend="; or set data.split.kind=blocks")
    others = -1 if split.train is not None else 0
    number = {name: i for i, names in enumerate([split.train or (), split.valid, split.test]) for name in names}
    return Runs(by_column(contigs).start, np.array([number.get(name, others) for name in contigs], np.int8))


def by_blocks(contigs: dict[str, int], split: ByBlocks) -> Runs:
    """Blocks are ranked by a hash of (seed, contig, block); the first go to validation, the next to testing.

    Raises:
        InputError: there are too few blocks.
    """
    total = sum(contigs.values())
    block_bp = split.block_bp or _default_block(total)
    keys = [(name, start) for name, bases in contigs.items() for start in range(0, bases, block_bp)]
    rank = np.argsort(np.argsort([_hash(split.seed, name, start // block_bp) for name, start in keys], kind="stable"))
    n_valid, n_test = (max(round(share * len(keys)), int(share > 0)) for share in (split.valid, split.test))
    if n_valid + n_test >= len(keys):
        raise InputError(
            f"data.split: blocks of {block_bp:,} bases cut this genome into {len(keys)}, too few for train, valid and "
            "test; choose a smaller data.split.block_bp"
        )
    drawn = np.where(rank < n_valid, 1, np.where(rank < n_valid + n_test, 2, 0)).astype(np.int8)
    contig_start = dict(zip(contigs, by_column(contigs).start.tolist(), strict=False))
    start = np.array([contig_start[name] + start for name, start in keys], np.int64)
    is_first = np.array([not start for _, start in keys])
    kept = is_first | np.concatenate([[True], drawn[1:] != drawn[:-1]])  # neighbours of one split are one run
    return Runs(np.append(start[kept], total), drawn[kept])


def check_known(names: Sequence[str], contigs: dict[str, int], where: str, *, mend: str = "") -> None:
    """Raises: InputError: a name is not among the contigs; `mend` is what to do other than name those it has."""
    unknown = [f"{name!r}{_meant(name, contigs)}" for name in names if name not in contigs]
    if unknown:
        has = ", ".join([*islice(contigs, N_SHOWN), *["..."] * (len(contigs) > N_SHOWN)])
        raise InputError(
            f"{where}: contigs that the genome does not have: {', '.join(unknown)}; name some of {has}{mend}"
        )


def _meant(name: str, contigs: dict[str, int]) -> str:
    """What an unknown name may stand for: the same contig as others call it, or one that is spelt alike."""
    same = [other for other in other_names(name) if other in contigs]
    return f" (it has {same[0]!r})" if same else nearest(name, contigs)


def _default_block(total_bp: int) -> int:
    """Not a matter of the windows' length: a model must not be trained on what another length holds out."""
    smallest = max(1, min(SMALLEST_BLOCK_BP, total_bp // 10))
    wanted = min(max(total_bp // 100, smallest), LARGEST_BLOCK_BP)
    return 1 << (wanted.bit_length() - 1)  # so that windows of the usual lengths end where blocks do


def _hash(seed: int, contig: str, block: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{contig}:{block}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
