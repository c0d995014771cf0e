"""A genome as training data: settings in, three sets of windows out.

The same settings on the same genome give the same windows in the same order.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from dnadiff.cache import cache_folder
from dnadiff.config import Settings
from dnadiff.data.bed import SPLITS, Intervals, read_bed
from dnadiff.data.fasta import Genome, SoftMasked
from dnadiff.data.inputs import absolute
from dnadiff.data.row_labels import RowLabels, read_labels
from dnadiff.data.splits import (
    Auto,
    ByBlocks,
    ByChromosome,
    ByColumn,
    Names,
    Runs,
    Split,
    by_blocks,
    by_chromosome,
    by_column,
    check_known,
)
from dnadiff.data.window_set import CountRow, WindowSet
from dnadiff.data.windows import Windows, check_disjoint, tile, whole_genome
from dnadiff.errors import InputError
from dnadiff.vocab import DNA, Vocab

Chosen = ByColumn | ByChromosome | ByBlocks


class GenomeData(Settings):
    """Windows of a genome."""

    letter: ClassVar[str] = "base"

    kind: Literal["genome"] = "genome"
    ref: str | None = None
    """FASTA file, plain, gzip or bgzip; null: a small artificial genome."""
    windows: str | None = None
    """BED file whose rows are windows; longer rows are tiled, shorter ones dropped."""
    regions: str | None = None
    """BED file whose rows are tiled with windows; null, and no `windows`: the whole genome is."""
    exclude: Names = ()
    """Contigs left out."""
    label: str | None = None
    """Column of the BED file that holds the class of each row, by number from 1 or by name; null: no classes."""
    rename_contigs: bool = False
    """Read `chr1` in a BED file as `1`, `chrM` as `MT`, and the other way round."""
    on_bad: Literal["error", "skip"] = "error"
    """What to do with BED rows that cannot be used."""
    length: int = Field(1024, gt=0)
    """Bases in a window."""
    stride: int | None = Field(None, gt=0)
    """Bases from one window to the next; null: the length."""
    split: Split = Auto()
    """Which bases are for training, validation and testing."""
    max_n: float = Field(0.1, ge=0, le=1)
    """Largest share of unknown bases in a window."""
    soft_masked: SoftMasked = "bases"
    """Lower-case bases, repeats mostly: `bases` like all others, or `unknown` like N, never hidden or scored."""
    reverse_complement: bool = True
    """Draw the strand of each training window at random."""
    jitter: int = Field(0, ge=0)
    """Largest random shift of a training window, in bases; it never leaves its row and split."""

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if self.windows and self.regions:
            raise ValueError("data.windows and data.regions are both given; give one")
        if self.label and self.ref and not (self.windows or self.regions):
            raise ValueError("data.label names a column of a BED file; give one in data.windows or data.regions")
        if isinstance(self.split, ByColumn) and not (self.windows or self.regions):
            raise ValueError("data.split.kind=column needs a BED file in data.windows or data.regions")
        if self.jitter >= self.length:
            raise ValueError(f"data.jitter ({self.jitter}) must be below data.length ({self.length}); lower it")
        return self

    def with_absolute_paths(self) -> Self:
        """The same files under names that hold in any folder."""
        files = {name: absolute(getattr(self, name)) for name in ("ref", "windows", "regions")}
        return self.model_copy(update=files)

    @property
    def name(self) -> str | None:
        """What a run on these data is called; None: after its preset."""
        return None if self.ref is None else Path(self.ref).name.split(".")[0]


@dataclass(frozen=True)
class GenomeSplits:
    """Three sets of windows that share no base.

    Attributes:
        split: how the genome was split, with what `Auto` chose.
        dropped: counts of rows and windows that are not used, by reason.
        fingerprint: sha256 over the genome, the windows and the settings that change their tokens.
        labels: names of the classes, if windows have one.
    """

    genome: Genome
    train: WindowSet
    valid: WindowSet
    test: WindowSet
    split: Chosen
    dropped: dict[str, int]
    fingerprint: str
    labels: tuple[str, ...] = ()
    vocab: Vocab = DNA
    letter: ClassVar[str] = GenomeData.letter
    knobs: ClassVar[str] = "data.split, data.length or data.max_n"

    @property
    def source(self) -> Path:
        """Where the data come from."""
        return self.genome.path

    @property
    def files(self) -> dict[str, str]:
        """What a model needs beside its vocabulary, to read and write such data: nothing."""
        return {}

    @property
    def left_out(self) -> str:
        """Rows and windows that are not used, and why; empty if none is left out."""
        return ", ".join(f"{n:,} {reason}" for reason, n in self.dropped.items() if n)

    def sets(self) -> dict[str, WindowSet]:
        """The three sets by name."""
        return dict(zip(SPLITS, (self.train, self.valid, self.test), strict=True))

    def counts(self) -> list[CountRow]:
        """A row for each split and contig. Reads every window once: some 15 s for a human genome."""
        return [row for name, windows in self.sets().items() for row in windows.counts(name)]

    def describe(self) -> dict[str, str]:
        """What was opened, for a log or a manifest."""
        return {
            "genome": str(self.genome.path),
            "contigs": f"{len(self.genome.contigs):,}",
            "bases": f"{sum(self.genome.contigs.values()):,}",
            "split": repr(self.split),
            **({"classes": ", ".join(self.labels)} if self.labels else {}),
            **{f"{name} windows": f"{len(windows):,}" for name, windows in self.sets().items()},
            **{reason: f"{n:,}" for reason, n in (self.genome.index.symbols | self.dropped).items() if n},
            "fingerprint": self.fingerprint,
        }


def open_data(settings: GenomeData, *, seed: int) -> GenomeSplits:
    """Open a genome and lay out its windows.

    Args:
        settings: what to read.
        seed: of strands and shifts in training; the split has its own.

    Raises:
        InputError: a file or setting that cannot be used, or a split that was asked for has no window.
        LeakError: rows of different splits overlap.
    """
    ref = settings.ref if settings.ref is not None else _toy_genome()
    genome = Genome.open(ref, soft_masked=settings.soft_masked)
    check_known(settings.exclude, genome.contigs, "data.exclude")
    bed = settings.windows or settings.regions or (_toy_isochores() if settings.label else None)
    rows = _rows(settings, genome, bed)
    split = _choose(settings, genome, rows)
    runs = _runs(split, genome)
    windows, dropped = tile(
        rows, runs, genome.index.starts[:-1], length=settings.length, stride=settings.stride or settings.length
    )
    is_known = genome.share_unknown(windows.contig, windows.start, settings.length) <= settings.max_n
    dropped["windows with too many unknown bases"] = int(np.count_nonzero(~is_known))
    windows = windows.take(is_known)
    _check_filled(windows, _wanted(split, rows), settings.length, dropped)
    check_disjoint(windows, genome.index.names, length=settings.length, jitter=settings.jitter)
    labels = read_labels(bed, settings.label, rows) if bed and settings.label else None
    of_window = None if labels is None else labels.number[windows.row]
    train, valid, test = (
        WindowSet(
            genome,
            windows.take(windows.split == i),
            length=settings.length,
            reverse_complement=settings.reverse_complement,
            jitter=settings.jitter,
            seed=seed,
            labels=None if of_window is None else of_window[windows.split == i],
        )
        for i in range(len(SPLITS))
    )
    fingerprint = _fingerprint(genome, windows, settings, labels)
    names = () if labels is None else labels.names
    return GenomeSplits(genome, train, valid, test, split, dropped, fingerprint, names)


def _toy_genome() -> str:
    from dnadiff.data.toy import write_toy_genome  # only here: a user's own genome needs none of it

    return str(write_toy_genome(cache_folder()))


def _toy_isochores() -> str:
    from dnadiff.data.toy import write_toy_isochores

    return str(write_toy_isochores(cache_folder()))


def _toy_split() -> ByChromosome:
    from dnadiff.data.toy import TEST, VALID

    return ByChromosome(valid=VALID, test=TEST)


def _rows(settings: GenomeData, genome: Genome, bed: str | None) -> Intervals:
    if bed is None:
        return whole_genome(genome.contigs, settings.exclude)
    rows = read_bed(bed, genome.contigs, on_bad=settings.on_bad, rename_contigs=settings.rename_contigs)
    kept = rows.take(~np.isin(rows.contig, [genome.numbers[name] for name in settings.exclude]))
    if not len(kept):
        raise InputError(f"{bed}: data.exclude leaves no row; exclude fewer contigs")
    return kept


def _choose(settings: GenomeData, genome: Genome, rows: Intervals) -> Chosen:
    """The split itself, for `Auto` the one that fits the data."""
    split = settings.split
    if isinstance(split, Auto):
        if (rows.split >= 0).any():
            split = ByColumn()
        elif settings.ref is None:
            split = _toy_split()
        else:
            split = ByBlocks()
    if isinstance(split, ByColumn) and (rows.split < 0).any():
        first = int(rows.line[rows.split < 0][0])
        n = int(np.count_nonzero(rows.split < 0))
        raise InputError(
            f"{settings.windows or settings.regions}: line {first}: the fourth column is not train, valid or test "
            f"({n:,} rows are so); write it in every row, or set data.split.kind=blocks"
        )
    return split


def _runs(split: Chosen, genome: Genome) -> Runs:
    match split:
        case ByChromosome():
            return by_chromosome(genome.contigs, split)
        case ByBlocks():
            return by_blocks(genome.contigs, split)
        case _:
            return by_column(genome.contigs)


def _check_filled(windows: Windows, wanted: set[int], length: int, dropped: dict[str, int]) -> None:
    """Raises: InputError: a split that was asked for has no window, so that a result over it would be over nothing."""
    empty = [SPLITS[i] for i in sorted(wanted) if not (windows.split == i).any()]
    if empty:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in dropped.items() if n) or "nothing"
        raise InputError(
            f"data: no window of {length} bases for {' and '.join(empty)} (left out: {reasons}); "
            "choose a smaller data.length or a larger data.max_n, or another data.split.kind"
        )


def _wanted(split: Chosen, rows: Intervals) -> set[int]:
    """The splits that were asked for, as positions in `SPLITS`."""
    if isinstance(split, ByColumn):
        return set(rows.split.tolist())
    return {0} | ({1} if split.valid else set()) | ({2} if split.test else set())


def _fingerprint(genome: Genome, windows: Windows, settings: GenomeData, labels: RowLabels | None) -> str:
    digest = hashlib.sha256(genome.fingerprint().encode())
    for column in (windows.contig, windows.start, windows.strand, windows.split, windows.low, windows.high):
        digest.update(column.tobytes())
    digest.update(f"{settings.length} {settings.reverse_complement} {settings.jitter}".encode())
    if settings.soft_masked != "bases":
        digest.update(settings.soft_masked.encode())
    if labels is not None:
        digest.update(repr(labels.names).encode() + labels.number[windows.row].tobytes())
    return digest.hexdigest()
