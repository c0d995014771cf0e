"""From draws of the bound to a figure with an honest interval.

Two errors are kept apart. Monte Carlo: how far another choice of masks would move the figure, from independent sweeps
over all windows (draws within a sweep are stratified, hence not independent). Windows: how far another choice of
windows would, from a bootstrap over blocks of neighbouring windows, since neighbours are alike.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from dnadiff.errors import InputError

BLOCK_WINDOWS = 10
N_BOOTSTRAP = 2000


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Interval:
        return Interval(self.value * factor, self.low * factor, self.high * factor)


class Estimate(NamedTuple):
    """The bound on -log p per letter over a set of windows.

    Attributes:
        nats: nats per scored letter; its interval holds the errors that are known.
        monte_carlo, windows: half-widths of the 95 % interval in nats, from each source alone; nan where it is not
            known, from one sweep, or from fewer than two blocks of windows.
        n_windows, n_scored, n_sweeps: what was scored, and how often.
    """

    nats: Interval
    monte_carlo: float
    windows: float
    n_windows: int
    n_scored: int
    n_sweeps: int

    @property
    def bits_per_base(self) -> Interval:
        return self.nats.scaled(1 / math.log(2))

    @property
    def perplexity(self) -> Interval:
        """exp of the mean nats and of its interval's ends, never a mean of exponentials."""
        return Interval(*(math.exp(value) for value in self.nats))


def estimate(nats: np.ndarray, n_scored: np.ndarray, *, generator: np.random.Generator) -> Estimate:
    """Combine draws.

    Args:
        nats: (n_sweeps, n_windows) one independent draw of the bound per sweep and window.
        n_scored: (n_windows,) letters scored in each window; windows in genome order.

    Raises:
        InputError: nothing is scored.
    """
    total = int(n_scored.sum())
    if total == 0:
        raise InputError(
            "no base to score: there is no A, C, G or T; check the sequences, or data.split and data.max_n"
        )
    sweeps = nats.sum(1) / total
    monte_carlo = _student_half_width(sweeps)
    windows = _block_half_width(nats.mean(0), n_scored, generator)
    mean, half = float(sweeps.mean()), math.hypot(*np.nan_to_num([monte_carlo, windows]))
    return Estimate(Interval(mean, mean - half, mean + half), monte_carlo, windows, len(n_scored), total, len(nats))


def _student_half_width(draws: np.ndarray) -> float:
    if len(draws) < 2:
        return math.nan
    return float(stdtrit(len(draws) - 1, 0.975) * draws.std(ddof=1) / math.sqrt(len(draws)))


def _block_half_width(nats: np.ndarray, n_scored: np.ndarray, generator: np.random.Generator) -> float:
    """1.96 standard errors of the ratio of sums, resampling blocks of neighbouring windows."""
    block = max(1, min(BLOCK_WINDOWS, len(nats) // 10))
    starts = np.arange(0, len(nats), block)
    sums, counts = np.add.reduceat(nats, starts), np.add.reduceat(n_scored, starts)
    if len(starts) < 2:
        return math.nan
    means = []
    for _ in range(N_BOOTSTRAP):
        chosen = generator.integers(len(starts), size=len(starts))
        means.append(sums[chosen].sum() / max(1, counts[chosen].sum()))
    return float(1.96 * np.std(means))
