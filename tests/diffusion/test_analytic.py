import math

import pytest
import torch
from worlds import MarkovChain, uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import Answers
from dnadiff.diffusion.samplers.analytic import Analytic
from dnadiff.diffusion.schedules import Geometric, Linear, LogLinear
from dnadiff.vocab import DNA


class Scores:
    """The exact score of a small language, times a constant; less the odds."""

    def __init__(self, world, scale=1.0):
        self.world, self.scale = world, scale

    def log_q(self, batch, wanted, t):
        log_probs = self.world.features(self.world.embed(batch.tokens))[wanted][:, DNA.letter_ids]
        return Answers((log_probs,), lambda part: part + math.log(self.scale), columns=4)


def states(denoiser, tokens, sampler, schedule, seed=0):
    noise = uniforms(len(tokens), seed)
    return [state.tokens for state in sampler.sample(denoiser, Batch(tokens), schedule, DNA, uniforms=noise)]


def masks(rows, length):
    return torch.full((rows, length), DNA.mask)


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("schedule", [LogLinear(eps=0.0), Linear()], ids=repr)
def test_a_position_is_revealed_with_the_sum_of_its_chances_and_at_the_end_whatever_it_is(schedule, scale):
    n, steps = 20_000, 3
    found = states(Scores(MarkovChain(1), scale), masks(n, 1), Analytic(steps=steps), schedule)
    alpha = schedule.alpha(torch.linspace(1, 0, steps + 1)).tolist()
    hidden = 1.0
    for before, after, tokens in zip(alpha, alpha[1:], found[:-1], strict=False):
        hidden *= 1 - min(1.0, scale * (after - before) / (1 - before))
        share = (tokens == DNA.mask).double().mean().item()
        assert share == pytest.approx(hidden, abs=4 * math.sqrt(hidden * (1 - hidden) / n))
    assert DNA.is_letter(found[-1]).all()


@pytest.mark.parametrize("schedule", [LogLinear(eps=0.0), Geometric(sigma_min=0.1, sigma_max=4.0)], ids=repr)
def test_many_steps_of_exact_scores_draw_from_the_language(schedule):
    """Up to the chance, about 1/steps, that both positions are revealed together."""
    world, n = MarkovChain(2), 4000
    drawn = states(Scores(world), masks(n, 2), Analytic(steps=50), schedule)[-1]
    number = DNA.letter_index[drawn] @ torch.tensor([4, 1])
    expected = world.log_probs.exp()
    found = torch.bincount(number, minlength=16) / n
    assert ((found - expected).abs() < 4 * (expected / n).sqrt() + 0.005).all()


def test_visible_positions_never_change():
    start = masks(50, 3)
    start[:, 1] = DNA.letters[2]
    found = states(Scores(MarkovChain(3)), start, Analytic(steps=4), LogLinear())
    assert len(found) == Analytic(steps=4).n_steps(3)
    assert all((tokens[:, 1] == DNA.letters[2]).all() for tokens in found)


def test_a_low_temperature_sharpens():
    schedule = LogLinear()
    cold = states(Scores(MarkovChain(1)), masks(200, 1), Analytic(steps=2, temperature=0.001), schedule)[-1]
    assert len(cold.unique()) == 1
