"""Figures of sets of sequences, each as a function of which sequences are taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance

from dnadiff.data.markov import on_the_other_strand
from dnadiff.report.card import Figure
from dnadiff.report.frechet import frechet_distance
from dnadiff.report.kmers import js_distance
from dnadiff.report.measured import Ints, jackknife

Floats = NDArray[np.float64]
Counts = NDArray[np.int32] | Ints
Statistic = Callable[[Ints], float]


def measure(name: str, unit: str, statistics: Mapping[str, Statistic], n: int) -> Figure:
    """A figure of n sequences for each set."""
    return Figure(name, unit, {group: jackknife(statistic, n) for group, statistic in statistics.items()})


def distance_to(reference: Ints, counts: Counts) -> Statistic:
    """Jensen-Shannon distance of counts, (n, kinds), to those of the reference, (kinds,)."""
    return lambda chosen: _distance(counts[chosen].sum(0), reference)


def asymmetry(counts: Counts) -> Statistic:
    """Jensen-Shannon distance of k-mer counts, (n, 4**k), to those of the other strand."""

    def distance(chosen: Ints) -> float:
        total = counts[chosen].sum(0)
        return _distance(total, on_the_other_strand(total))

    return distance


def frechet_to(reference: Floats, features: Floats) -> Statistic:
    """Frechet distance of features, (n, width), to those of the reference."""
    return lambda chosen: frechet_distance(reference, features[chosen])


def mean_of(values: Floats) -> Statistic:
    """Of values, (n,), those that are known."""
    return lambda chosen: float(known.mean()) if len(known := _known(values[chosen])) else math.nan


def wasserstein_to(reference: Floats, values: Floats) -> Statistic:
    """Wasserstein distance of values, (n,), to those of the reference; of those that are known."""
    theirs = _known(reference)

    def distance(chosen: Ints) -> float:
        ours = _known(values[chosen])
        return float(wasserstein_distance(ours, theirs)) if len(ours) and len(theirs) else math.nan

    return distance


def _distance(one: Ints, other: Ints) -> float:
    """Jensen-Shannon distance of two sets of counts; nan where nothing was counted."""
    if not (one.any() and other.any()):
        return math.nan
    return js_distance(one / one.sum(), other / other.sum())


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]
