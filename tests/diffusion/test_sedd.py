"""SEDD: parity with numbers computed with MDLM's published code, and laws."""

import itertools
import math

import numpy as np
import pytest
import torch
from golden_mdlm import GOLDEN, HIDDEN, SCALARS, SCHEDULES, SIX, Given
from worlds import MarkovChain, UniformNetwork

from dnadiff.batch import Batch
from dnadiff.diffusion.estimators import Bernoulli, Numbers, Pairs
from dnadiff.diffusion.noise import Noise, draw_noise
from dnadiff.diffusion.objectives import MDLM, SEDD
from dnadiff.diffusion.samplers import Analytic, Ancestral, Auto
from dnadiff.diffusion.samplers.analytic import letter_chances, log_odds
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.errors import InputError
from dnadiff.vocab import DNA


class Scaled(MarkovChain):
    """The exact posterior times a constant, so that q sums to it."""

    scale = 1.0

    def logits(self, features):
        return features + math.log(4 * self.scale)


def golden_loss(schedule):
    noise = Noise(GOLDEN["in.t"], HIDDEN.float()[:, None])
    network = Given(GOLDEN["in.logits"])
    return SEDD(first_time=0.0).loss(network, Batch(GOLDEN["in.x0"]), noise, schedule, SIX).nats


def golden_log_scores(t):
    """`t`: (3,) chance to be hidden."""
    denoiser = SEDD().denoiser(Given(GOLDEN["in.logits"]), LogLinear(), SIX)
    return denoiser.log_q(Batch(GOLDEN["in.xt"]), HIDDEN, t.float()).all() + log_odds(of_hidden(t))


def of_hidden(times):
    """(3,) -> (n, 1) float64."""
    return times.double()[HIDDEN.nonzero()[:, 0], None]


def golden_chances(t, s):
    return letter_chances(golden_log_scores(t), of_hidden(t), of_hidden(s)).float()


def close(found, expected):
    return torch.allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(SCHEDULES.keys() - {"linear"}))  # the published code fails there
def test_the_loss_is_the_published_one(name):
    assert close(golden_loss(SCHEDULES[name]), GOLDEN[f"out.loss.sedd.{name}"])


def test_the_linear_schedule_only_changes_the_weight():
    schedule, other, t = SCHEDULES["linear"], LogLinear(), GOLDEN["in.t"][:, None]
    weight, other_weight = (-s.dalpha(t) / (1 - s.alpha(t)) for s in (schedule, other))
    assert close(golden_loss(schedule), golden_loss(other) * weight / other_weight)


def test_scores_are_the_published_ones():
    found = golden_log_scores(1 - (-GOLDEN["in.sigma"]).exp())
    assert close(found.float(), GOLDEN["out.sedd"][HIDDEN][:, :6])


def test_steps_have_the_published_chances():
    t, s = (1 - LogLinear().alpha(GOLDEN["in.t"] - step) for step in (0, SCALARS["dt"]))
    chances, expected = golden_chances(t, s), GOLDEN["out.analytic.probs.sedd"][HIDDEN]
    assert close(chances, expected[:, :6])
    assert close(1 - chances.sum(-1), expected[:, 6])


def test_a_posterior_read_as_scores_has_the_published_chances_which_are_those_of_the_ancestral_step():
    t, s = (of_hidden(1 - LogLinear().alpha(GOLDEN["in.t"] - step)) for step in (0, SCALARS["dt"]))
    log_probs = GOLDEN["out.subs"][HIDDEN][:, :6].double()
    chances = letter_chances(log_probs + log_odds(t), t, s)
    assert close(chances.float(), GOLDEN["out.analytic.probs.subs"][HIDDEN][:, :6])
    assert torch.allclose(chances, (t - s) / t * log_probs.exp())


def test_the_last_step_has_the_published_chances():
    chances = golden_chances(1 - LogLinear().alpha(GOLDEN["in.t"]), torch.zeros(3))
    assert close(chances, GOLDEN["out.denoiser.probs.sedd"][HIDDEN][:, :6])


def test_without_time_conditioning_scores_and_chances_are_finite_at_all_times():
    times = torch.tensor([1.0, 0.5, 1e-3])
    assert golden_log_scores(times).isfinite().all()
    assert (golden_chances(times, torch.tensor([0.5, 1e-3, 0.0])) > 0).all()
    assert golden_chances(times, torch.tensor([0.5, 1e-3, 0.0])).isfinite().all()


@pytest.mark.parametrize("estimator", [Numbers(), Pairs()], ids=repr)
def test_a_uniform_network_gives_exactly_two_bits_on_every_draw(estimator):
    tokens = DNA.letter_ids[torch.randint(4, (20, 33), generator=torch.Generator().manual_seed(0))]
    noise = draw_noise(np.random.default_rng(0), 20, 33)
    nats = SEDD().row_nats(UniformNetwork(), Batch(tokens), noise, LogLinear(), DNA, estimator)
    assert torch.allclose(nats / 33 / math.log(2), torch.tensor(2.0, dtype=torch.float64), rtol=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.5, 3.0])
def test_exact_scores_give_minus_log_p_and_a_common_factor_costs_what_it_must(scale):
    """Of q = c p the cost is c - 1 - log c above that of p; the mean over all orders of the positions."""
    chain, length, number = Scaled(4), 4, 77
    chain.scale = scale
    orders = torch.tensor(list(itertools.permutations(range(length)))).double() / length
    times = ((torch.arange(length) + 0.5) / length).repeat_interleave(len(orders))
    batch = Batch(chain.sequences[number].expand(len(times), -1))
    noise = Noise(times, orders.repeat(length, 1)[:, None])
    nats = SEDD().row_nats(chain, batch, noise, LogLinear(), DNA, Numbers()).mean().item()
    excess = length * (scale - 1 - math.log(scale))
    assert nats == pytest.approx(excess - chain.log_probs[number].item(), rel=1e-12)


def test_the_gradient_agrees_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, DNA.size, generator=generator, dtype=torch.float64, requires_grad=True)
    tokens = DNA.letter_ids[torch.randint(4, (2, 5), generator=generator)]
    noise = Noise(torch.tensor([0.6, 0.9]), torch.rand(2, 1, 5, generator=generator))
    assert torch.autograd.gradcheck(
        lambda given: SEDD().loss(Given(given), Batch(tokens), noise, LogLinear(), DNA).nats, logits
    )


def test_a_batch_of_unknown_bases_has_loss_zero_and_gradient_zero():
    network = UniformNetwork()
    batch, noise = Batch(torch.full((2, 8), DNA.unknown)), draw_noise(np.random.default_rng(0), 2, 8)
    terms = SEDD().loss(network, batch, noise, LogLinear(), DNA)
    terms.nats.sum().backward()
    assert terms.nats.sum() == 0
    assert network.level.grad == 0
    assert (SEDD().row_nats(network, batch, noise, LogLinear(), DNA, Bernoulli()) == 0).all()


def test_samplers_of_a_posterior_see_the_scores_normalised():
    chain = Scaled(3)
    chain.scale = 5.0
    batch = Batch(torch.full((1, 3), DNA.mask))
    found = SEDD().denoiser(chain, LogLinear(), DNA)(batch, batch.tokens == DNA.mask)
    assert torch.allclose(found, chain.features(chain.embed(batch.tokens))[0][:, DNA.letter_ids])


def test_samplers_of_a_posterior_draw_from_scores_but_not_the_other_way_round():
    assert isinstance(SEDD().sampler(Auto(steps=3)), Analytic)
    assert SEDD().sampler(Ancestral()) == Ancestral()
    with pytest.raises(InputError, match="analytic draws from a ScoreDenoiser"):
        MDLM().sampler(Analytic())
