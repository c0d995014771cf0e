"""From draws to a figure with an honest interval.

Two errors are kept apart. Monte Carlo: how far another choice of masks would move the figure, from independent sweeps
over all windows (draws within a sweep are stratified, hence not independent). Windows: how far another choice of
windows would, from a bootstrap over blocks of neighbouring windows, since neighbours are alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

from dnadiff.errors import InputError

BLOCK_WINDOWS = 10
N_BOOTSTRAP = 2000
CHOSEN_AT_ONCE = 1 << 18  # blocks; few megabytes


class Meaning(Enum):
    """What a figure in nats is to the model's -log p."""

    EXACT = "-log p, exactly"
    BOUND = "an upper bound on -log p"
    PSEUDO = "pseudo-likelihood, each letter given all others: no bound on -log p"
    LOSS = "the training loss, as the paper reports it: integrated as far as its schedule goes, no bound on -log p"

    @property
    def sign(self) -> str:
        """What stands between a name and its figure."""
        return {Meaning.EXACT: "=", Meaning.BOUND: "<="}.get(self, "~")

    @property
    def of_log_p(self) -> str:
        """What the figure without its minus is to log p."""
        return {
            Meaning.EXACT: "log p, exactly",
            Meaning.BOUND: "a lower bound on log p",
            Meaning.PSEUDO: "pseudo-likelihood, each letter given all others: no bound on log p",
            Meaning.LOSS: "the training loss with its sign turned: no bound on log p",
        }[self]


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Interval:
        return Interval(self.value * factor, self.low * factor, self.high * factor)

    def exp(self) -> Interval:
        return Interval(math.exp(self.value), math.exp(self.low), math.exp(self.high))


class Estimate(NamedTuple):
    """Nats per letter over a set of windows.

    Attributes:
        meaning: what the figure is to -log p.
        nats: nats per scored letter; its interval holds the errors that are known, and is nan where none is.
        perplexity: exp of the mean nats and of its interval's ends, unless `batch_size` says otherwise.
        monte_carlo, windows: half-widths of the 95 % interval in nats, from each source alone; nan where it is not
            known, from one sweep, or from fewer than two blocks of windows.
        n_windows, n_scored, n_sweeps: what was scored, and how often.
        batch_size: of the batches whose perplexities were averaged, the published way; None for the sound one.
        parts: the same of parts of the windows, such as contigs, by name; empty where there is one part, or very many.
    """

    meaning: Meaning
    nats: Interval
    perplexity: Interval
    monte_carlo: float
    windows: float
    n_windows: int
    n_scored: int
    n_sweeps: int
    batch_size: int | None = None
    parts: Mapping[str, Estimate] = MappingProxyType({})

    @property
    def bits_per_base(self) -> Interval:
        return self.nats.scaled(1 / math.log(2))


def estimate(
    nats: np.ndarray, n_scored: np.ndarray, *, generator: np.random.Generator, meaning: Meaning = Meaning.BOUND
) -> Estimate:
    """Combine draws.

    Args:
        nats: (n_sweeps, n_windows) one independent draw per sweep and window.
        n_scored: (n_windows,) letters scored in each window; windows in genome order.
        meaning: what the draws are; exact ones have no Monte Carlo error.

    Raises:
        InputError: nothing is scored.
    """
    total = int(n_scored.sum())
    if total == 0:
        raise InputError(
            "no base to score: there is no A, C, G or T; check the sequences, or data.split and data.max_n"
        )
    sweeps = nats.sum(1) / total
    monte_carlo = 0.0 if meaning is Meaning.EXACT else _student_half_width(sweeps)
    windows = _block_half_width(nats.mean(0), n_scored, generator)
    figure = _interval(float(sweeps.mean()), monte_carlo, windows)
    return Estimate(meaning, figure, figure.exp(), monte_carlo, windows, len(n_scored), total, len(nats))


def with_batch_perplexity(
    result: Estimate, nats: np.ndarray, n_scored: np.ndarray, batch_size: int, *, generator: np.random.Generator
) -> Estimate:
    """The same with the published perplexity: exp of each batch's mean nats, averaged; never below the sound one.

    Args:
        nats, n_scored: as for `estimate`.
        batch_size: windows in a batch, which enters the figure.
    """
    starts = np.arange(0, len(n_scored), batch_size)
    counts = np.add.reduceat(n_scored, starts)
    each = np.exp(np.add.reduceat(nats, starts, axis=1)[:, counts > 0] / counts[counts > 0])  # (n_sweeps, batches)
    windows = _block_half_width(each.mean(0), np.ones(each.shape[1], np.int64), generator)
    perplexity = _interval(float(each.mean()), _student_half_width(each.mean(1)), windows)
    return result._replace(perplexity=perplexity, batch_size=batch_size)


def _interval(value: float, *half_widths: float) -> Interval:
    """From the errors that are known; nan where none is."""
    half = math.nan if all(map(math.isnan, half_widths)) else math.hypot(*np.nan_to_num(half_widths))
    return Interval(value, value - half, value + half)


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
    at_once = max(1, CHOSEN_AT_ONCE // len(starts))
    means = []
    for start in range(0, N_BOOTSTRAP, at_once):
        chosen = generator.integers(len(starts), size=(min(at_once, N_BOOTSTRAP - start), len(starts)))
        means.append(sums[chosen].sum(1) / np.maximum(1, counts[chosen].sum(1)))
    return float(1.96 * np.std(np.concatenate(means)))
