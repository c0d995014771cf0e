"""Are samples new, and are they different from each other? By shared minimizers, on either strand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.bed import Intervals
from dnadiff.data.fasta import Genome
from dnadiff.data.leakage.compare import Comparison, compare_sequences
from dnadiff.data.leakage.groups import groups
from dnadiff.data.leakage.ranges import spread
from dnadiff.data.leakage.sequences import InGenome, InMemory

Tokens = NDArray[np.uint8]
Region = tuple[str, int, int]  # contig, start, end
Bar = Callable[[int], AbstractContextManager[Callable[[int], object]]]  # how much there is -> called with what is done
WINDOWS = 8  # of a stretch of the genome that is compared as one
ANY = Comparison(similar=1e-9)  # one shared minimizer, in rows of three or more


class Nearest(NamedTuple):
    """For every row the stretch of training DNA that shares most with it.

    Attributes:
        share: (n,) float64: of its minimizers; 1 where it lies in the stretch as a whole.
        place: (n,) contig, start and end of the stretch; empty where none shares any.
        is_copy: (n,) bool: the row itself, or its reverse complement, is in the training DNA.
    """

    share: NDArray[np.float64]
    place: list[str]
    is_copy: NDArray[np.bool_]


def no_bar(total: int) -> AbstractContextManager[Callable[[int], object]]:
    """Nothing is shown."""
    return nullcontext(lambda done: None)


def nearest(rows: Tokens, genome: Genome, regions: Sequence[Region], bar: Bar = no_bar) -> Nearest:
    """Look rows up in training DNA, which is streamed past them.

    Args:
        rows: (n, length) tokens.
        regions: of the genome; cut into stretches of eight windows that overlap by one.
        bar: shows how many training bases are read, those of an overlap twice.
    """
    train = _stretches(genome, regions, rows.shape[1])
    with bar(int((train.end - train.start).sum())) as advance:
        found = compare_sequences(InGenome(genome, train), InMemory.of(rows), ANY, advance)
    share, at = np.zeros(len(rows)), np.full(len(rows), -1)
    is_copy = np.zeros(len(rows), bool)
    for relation in ("similar", "inside", "reverse complement", "identical"):
        leak = found.leaks[relation]
        share[leak.test], at[leak.test] = leak.share, leak.train
        is_copy[leak.test] = relation != "similar"
    return Nearest(share, [_place(genome, train, row) for row in at.tolist()], is_copy)


def n_related_groups(rows: Tokens) -> int:
    """How many groups rows fall into, if those that share half of their minimizers are in one."""
    return len(np.unique(groups(InMemory.of(rows))))


def _stretches(genome: Genome, regions: Sequence[Region], length: int) -> Intervals:
    step, size = (WINDOWS - 1) * length, WINDOWS * length
    contig, first, last = (
        np.array([(genome.numbers[name], *span) for name, *span in regions], np.int64).reshape(-1, 3).T
    )
    n_each = -(-np.maximum(last - length - first, 1) // step)
    region = np.repeat(np.arange(len(regions)), n_each)
    start = first[region] + step * spread(np.zeros_like(n_each), n_each)
    ones = np.ones(len(region), np.int8)
    end = np.minimum(start + size, last[region])
    return Intervals(contig[region], start, end, ones, np.zeros_like(ones), np.arange(1, len(region) + 1))


def _place(genome: Genome, train: Intervals, row: int) -> str:
    if row < 0:
        return ""
    return f"{genome.index.names[int(train.contig[row])]}:{train.start[row]}-{train.end[row]}"
