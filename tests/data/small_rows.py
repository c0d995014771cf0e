"""Small sets of rows for tests of leakage."""

import numpy as np
from hypothesis import settings

from dnadiff.data.bed import Intervals

Place = tuple[int, int, int]


def patient(n_examples: int) -> settings:
    """So many examples of a property, in proportion more in a longer profile (`HYPOTHESIS_PROFILE=nightly`)."""
    return settings(max_examples=n_examples * settings().max_examples // 100)


PATIENT = patient(50)


def bases(n: int, seed: int) -> np.ndarray:
    """Random tokens."""
    return np.random.default_rng(seed).integers(7, 11, n).astype(np.uint8)


def intervals(places: list[Place]) -> Intervals:
    """From contig, start and length."""
    contig, start, length = np.array(places, np.int64).T
    n = len(places)
    return Intervals(contig, start, start + length, np.ones(n, np.int8), np.full(n, -1, np.int8), np.arange(1, n + 1))
