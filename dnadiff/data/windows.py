"""Windows of one length on a genome.

The policy: a row is tiled from its start; rows shorter than a window give none, and a rest shorter than a window is
left out. Windows never reach past their row, are never clamped, padded or repeated, and lie within one split; what was
dropped is counted by reason.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.bed import SPLITS, Intervals
from dnadiff.data.splits import Runs
from dnadiff.errors import InputError, LeakError

Ints = NDArray[np.int64]
MOST_WINDOWS = 200_000_000


@dataclass(frozen=True)
class Windows:
    """Columns of equal length (windows,).

    Attributes:
        contig: int64, number of the contig.
        start: int64, first base.
        strand: int8, 1 or -1.
        split: int8, position in `SPLITS`.
        low, high: int64, the bases between which the window may be shifted: its row, as far as it is of its split.
        row: int64, number of the row it was cut from.
    """

    contig: Ints
    start: Ints
    strand: NDArray[np.int8]
    split: NDArray[np.int8]
    low: Ints
    high: Ints
    row: Ints

    def __len__(self) -> int:
        return len(self.start)

    def take(self, chosen: NDArray[np.bool_] | Ints) -> Windows:
        """Some of the windows: True in `chosen` (windows,), or those whose positions it lists."""
        return Windows(**{field.name: getattr(self, field.name)[chosen] for field in fields(self)})


class Tiled(NamedTuple):
    """Windows, and how many rows and windows were left out."""

    windows: Windows
    dropped: dict[str, int]  # by reason


class Merged(NamedTuple):
    """Disjoint intervals in the genome's order, each (intervals,) int64."""

    contig: Ints
    start: Ints
    end: Ints


def whole_genome(contigs: dict[str, int], exclude: tuple[str, ...] = ()) -> Intervals:
    """One row for each contig that has bases and is not excluded."""
    rows = [(i, n) for i, (name, n) in enumerate(contigs.items()) if n and name not in exclude]
    contig, end = np.array(rows, np.int64).reshape(-1, 2).T
    n = len(rows)
    return Intervals(
        contig, np.zeros(n, np.int64), end, np.ones(n, np.int8), np.full(n, -1, np.int8), np.arange(1, n + 1)
    )


def tile(rows: Intervals, runs: Runs, contig_starts: Ints, *, length: int, stride: int) -> Tiled:
    """Windows of `length` at every `stride` bases of each row, those that lie within one run of the split.

    Args:
        rows: intervals to tile.
        runs: the split.
        contig_starts: (contigs,) int64, contigs laid end to end.

    Raises:
        InputError: more windows than can be held.
    """
    n_each = np.maximum((rows.end - rows.start - length) // stride + 1, 0)
    if n_each.sum() > MOST_WINDOWS:
        raise InputError(f"data.stride: {stride} gives {n_each.sum():,} windows, more than {MOST_WINDOWS:,}; raise it")
    row = np.repeat(np.arange(len(rows)), n_each)
    nth = np.arange(len(row)) - np.repeat(np.cumsum(n_each) - n_each, n_each)
    contig, start = rows.contig[row], rows.start[row] + nth * stride

    base = contig_starts[contig]
    run = np.searchsorted(runs.start, base + start, side="right") - 1
    last_run = np.searchsorted(runs.start, base + start + length - 1, side="right") - 1
    split = rows.split[row] if runs.split is None else runs.split[run]
    windows = Windows(
        contig=contig,
        start=start,
        strand=rows.strand[row],
        split=split,
        low=np.maximum(rows.start[row], runs.start[run] - base),
        high=np.minimum(rows.end[row], runs.start[run + 1] - base),
        row=row,
    )
    straddles, is_unused = run != last_run, split < 0
    kept = windows.take(~straddles & ~is_unused)
    is_new = _first_of_each(kept)
    dropped = {
        "rows shorter than a window": int(np.count_nonzero(n_each == 0)),
        "windows across a split's border": int(np.count_nonzero(straddles)),
        "windows of no split": int(np.count_nonzero(is_unused & ~straddles)),
        "repeated windows": int(np.count_nonzero(~is_new)),
    }
    return Tiled(kept.take(is_new), dropped)


def check_disjoint(windows: Windows, names: tuple[str, ...], *, length: int, jitter: int) -> None:
    """Raises: LeakError: two splits share a base, counting where training windows may be shifted to."""
    is_train = windows.split == 0
    start = np.where(is_train, np.maximum(windows.start - jitter, windows.low), windows.start)
    end = np.where(is_train, np.minimum(windows.start + length + jitter, windows.high), windows.start + length)
    parts = [merge(windows.contig[mine], start[mine], end[mine]) for mine in (windows.split == i for i in range(3))]
    contig, start, end = (np.concatenate(column) for column in zip(*parts, strict=True))
    split = np.repeat(np.arange(3), [len(part.start) for part in parts])
    order = np.lexsort((start, contig))
    contig, start, end, split = contig[order], start[order], end[order], split[order]
    shared = (contig[1:] == contig[:-1]) & (start[1:] < end[:-1])  # neighbours suffice: each split's are disjoint
    if shared.any():
        at = int(shared.argmax())
        raise LeakError(
            f"{names[int(contig[at])]}:{start[at + 1]}-{min(end[at], end[at + 1])} is in both {SPLITS[split[at]]} and "
            f"{SPLITS[split[at + 1]]}; give overlapping rows one split, or split by chromosome or by blocks"
        )


def merge(contig: Ints, start: Ints, end: Ints) -> Merged:
    """The bases that intervals cover, touching ones joined."""
    order = np.lexsort((start, contig))
    contig, start, end = contig[order], start[order], end[order]
    span = int(end.max(initial=0)) + 2
    reach = np.maximum.accumulate(contig * span + end)  # the furthest end so far, contig by contig
    begins = np.concatenate([[True], (contig * span + start)[1:] > reach[:-1]])[: len(start)]
    first = np.flatnonzero(begins)
    last = np.append(first[1:], len(start))[: len(first)] - 1
    return Merged(contig[first], start[first], reach[last] - contig[first] * span)


def _first_of_each(windows: Windows) -> NDArray[np.bool_]:
    """True at the first window of each place and strand."""
    keys = np.stack([windows.contig, windows.start, windows.strand.astype(np.int64)])
    order = np.lexsort(keys[::-1])  # stable, so that the first in file order comes first
    is_new = np.ones(len(windows), bool)
    is_new[order[1:]] = (np.diff(keys[:, order], axis=1) != 0).any(axis=0)
    return is_new
