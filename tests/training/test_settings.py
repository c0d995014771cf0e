import math

import pytest
from pydantic import ValidationError

from dnadiff.training.settings import ConstantRate, CosineRate, OptimSettings, TrainSettings


def test_cosine_rises_to_the_full_rate_and_falls_to_its_end():
    rate = CosineRate(warmup=0.1, final=0.2)
    factors = [rate.factor(step, 100) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == factors[10] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(0.2)
    assert factors[55] == pytest.approx(0.6)


def test_constant_stays_after_its_warm_up():
    rate = ConstantRate(warmup=0.1)
    assert [rate.factor(step, 20) for step in (0, 1, 5, 19)] == [0.5, 1.0, 1.0, 1.0]
    assert ConstantRate().factor(0, 20) == 1.0


def test_the_average_soon_forgets_where_it_began_and_then_decays_as_asked():
    optim = OptimSettings(ema=0.99)
    assert math.prod(optim.decay(n) for n in range(30)) < 1e-3
    assert optim.decay(10_000) == 0.99


def test_a_micro_batch_larger_than_the_batch_is_refused():
    with pytest.raises(ValidationError, match=r"micro_batch \(16\) exceeds batch_size \(8\)"):
        TrainSettings(micro_batch=16)
