import math

import numpy as np
import pytest

from dnadiff.errors import InputError
from dnadiff.inference.estimate import BLOCK_WINDOWS, estimate


def draws(seed, *, n_windows=400, n_sweeps=8, window_sd=1.0, mask_sd=0.5, block=1):
    """Windows whose nats vary around 138.6 per 100 letters, alike within blocks, plus Monte Carlo noise per sweep."""
    generator = np.random.default_rng(seed)
    windows = np.repeat(generator.normal(0, window_sd, n_windows // block), block)
    return 138.6 + windows + generator.normal(0, mask_sd, (n_sweeps, n_windows)), np.full(n_windows, 100)


def test_the_mean_is_nats_per_scored_letter_and_the_rest_follows():
    result = estimate(*draws(0), generator=np.random.default_rng(0))
    assert result.nats.value == pytest.approx(1.386, abs=0.002)
    assert result.bits_per_base.value == pytest.approx(result.nats.value / math.log(2))
    assert result.perplexity == tuple(math.exp(value) for value in result.nats)
    assert (result.n_windows, result.n_scored, result.n_sweeps) == (400, 40_000, 8)


def test_the_interval_holds_the_truth_about_95_times_in_100():
    held = 0
    for seed in range(200):
        result = estimate(*draws(seed), generator=np.random.default_rng(seed))
        held += result.nats.low <= 1.386 <= result.nats.high
    assert 180 <= held <= 199


def test_windows_that_are_alike_in_blocks_widen_the_interval():
    alone = estimate(*draws(1), generator=np.random.default_rng(0)).windows
    alike = estimate(*draws(1, block=BLOCK_WINDOWS), generator=np.random.default_rng(0)).windows
    assert alike > 2 * alone


def test_one_sweep_and_one_window_claim_no_interval_that_they_cannot_have():
    result = estimate(np.array([[5.0]]), np.array([4]), generator=np.random.default_rng(0))
    assert result.nats.value == 1.25
    assert math.isnan(result.monte_carlo)
    assert math.isnan(result.windows)
    assert math.isnan(result.nats.low)
    assert math.isnan(result.perplexity.high)
    several = estimate(np.array([[5.0], [5.2]]), np.array([4]), generator=np.random.default_rng(0))
    assert several.nats.high - several.nats.value == pytest.approx(several.monte_carlo)


def test_nothing_scored_is_an_error_and_not_a_figure():
    with pytest.raises(InputError, match="no base to score"):
        estimate(np.zeros((5, 3)), np.zeros(3, dtype=int), generator=np.random.default_rng(0))
