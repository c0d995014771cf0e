"""A figure with its error: how far another choice of sequences would have moved it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

Ints = NDArray[np.int64]
MOST_BLOCKS = 20


class Measured(NamedTuple):
    """A value that is never negative, and its 95 % interval; nan where that is not known."""

    value: float
    low: float = math.nan
    high: float = math.nan

    @property
    def half_width(self) -> float:
        """Of the interval, which may be cut off on one side, at the least or the largest value that there is."""
        return max(self.high - self.value, self.value - self.low)


def jackknife(statistic: Callable[[Ints], float], n: int) -> Measured:
    """A figure of n sequences, none below 0, and its interval from leaving out one of twenty blocks of them at a time.

    A bootstrap would not do: a sample that holds sequences twice is further from every reference, as distances are
    larger in fewer sequences.

    Args:
        statistic: numbers of sequences, (m,) -> the figure of these; sequences are in no order.
    """
    value = statistic(np.arange(n))
    n_blocks = min(MOST_BLOCKS, n)
    block = np.arange(n) * n_blocks // n
    others = np.array([statistic(np.flatnonzero(block != number)) for number in range(n_blocks)])
    error = math.sqrt((n_blocks - 1) * others.var())
    half = float(stdtrit(n_blocks - 1, 0.975)) * error
    return Measured(value, float(np.maximum(value - half, 0.0)), value + half)
