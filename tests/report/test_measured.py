"""Intervals: the closed form of a mean, and how often they hold the truth."""

import numpy as np
import pytest
from scipy.special import stdtrit

from dnadiff.report.measured import Measured, jackknife


def test_the_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=15)
    found = jackknife(lambda chosen: float(values[chosen].mean()), 15)
    assert found.value == pytest.approx(values.mean())
    assert found.half_width == pytest.approx(stdtrit(14, 0.975) * values.std(ddof=1) / np.sqrt(15))


def test_intervals_of_a_distance_hold_what_many_sequences_have_as_often_as_they_say():
    rng = np.random.default_rng(1)
    truth, hits = 1.0, 0
    for _ in range(300):
        values = rng.exponential(size=200)
        found = jackknife(lambda chosen, values=values: float(values[chosen].std()), 200)
        hits += found.low <= truth <= found.high
    assert 0.85 < hits / 300 <= 1  # a standard deviation of exponentials is far from normal: some 0.92


def test_a_figure_without_an_interval_has_none():
    assert np.isnan(Measured(1.0).half_width)
