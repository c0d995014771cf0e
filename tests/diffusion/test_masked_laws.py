"""What every objective that hides letters and scores cross-entropies must obey, in continuous and in discrete time."""

import itertools
import math

import numpy as np
import pytest
import torch
from golden_mdlm import Given
from pydantic import ValidationError
from torch import nn
from worlds import MarkovChain, UniformNetwork

from dnadiff.batch import Batch
from dnadiff.diffusion.estimators import Numbers
from dnadiff.diffusion.noise import Noise, draw_noise
from dnadiff.diffusion.objectives import D3PM, MD4, MDLM
from dnadiff.diffusion.schedules import (
    Cosine,
    CosineSquared,
    Geometric,
    Linear,
    LogLinear,
    MDLMCosine,
    Polynomial,
)
from dnadiff.vocab import DNA, Vocab

THREE = Vocab(tokens=("a", "_", "b", "c", "."), size=5, letters=(0, 2, 3), mask=1, pad=4, unknown=4)
LENGTH = 3
MASKS = torch.tensor(list(itertools.product([False, True], repeat=LENGTH)))
UNTRUNCATED = [
    LogLinear(eps=0.0), Cosine(eps=0.0), MDLMCosine(eps=0.0), CosineSquared(eps=0.0), Polynomial(eps=0.0),
    Linear(sigma_min=0.0, sigma_max=40.0),
]  # fmt: skip
OBJECTIVES = [MDLM(), MDLM(importance=True), MDLM(T=5), MD4(), MD4(T=5), D3PM(T=5), D3PM(T=5, zero_masking=True)]
every_objective = pytest.mark.parametrize("objective", OBJECTIVES, ids=repr)


class Small(nn.Module):
    """A network of a few parameters that sees every position, and the time where it is told."""

    def __init__(self, vocab, *, time_conditioned=False, width=4):
        super().__init__()
        self.time_conditioned = time_conditioned
        self.table = nn.Embedding(vocab.size, width)
        self.head = nn.Linear(2 * width, vocab.size)
        self.mask = vocab.mask
        self.told, self.hidden = [], []

    def embed(self, tokens):
        self.hidden.append((tokens == self.mask).double().mean(1))
        return self.table(tokens)

    def features(self, embedded, t=None, **_):
        self.told.append(t)
        context = (embedded * torch.linspace(0, 1, embedded.shape[1])[:, None]).sum(1, keepdim=True)
        return torch.cat([embedded, context.expand_as(embedded)], -1).tanh()

    def logits(self, features):
        return self.head(features)


def letters(rows, length, vocab=DNA):
    index = torch.randint(vocab.n_letters, (rows, length), generator=torch.Generator().manual_seed(0))
    return vocab.letter_ids[index]


def gauss(n):
    """Nodes and weights of Gauss-Legendre quadrature on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    return (nodes + 1) / 2, weights / 2


def mean_training_loss(objective, chain, schedule, times, weights):
    """Nats per sequence: the mean over sequences and masks, integrated over times in [0, 1]."""
    total = 0.0
    rows = torch.tensor(list(itertools.product(range(len(chain.sequences)), range(len(MASKS)))))
    sequence, hidden = chain.sequences[rows[:, 0]], MASKS[rows[:, 1]]
    for time, weight in zip(times, weights, strict=True):
        at = torch.full((len(rows),), time, dtype=torch.float64)
        noise = Noise(at, hidden.double()[:, None])
        nats = objective.loss(chain, Batch(sequence), noise, schedule, chain.vocab).nats.sum(1)
        alpha = objective.level(at, schedule).alpha
        chance = (1 - alpha) ** hidden.sum(1) * alpha ** (~hidden).sum(1)
        total += weight * (chain.log_probs[rows[:, 0]].exp() * chance * nats).sum().item()
    return total


@pytest.mark.parametrize("schedule", UNTRUNCATED, ids=repr)
@pytest.mark.parametrize("objective", [MDLM(first_time=0.0), MD4()], ids=lambda objective: objective.kind)
def test_the_training_loss_of_the_exact_denoiser_is_the_entropy(objective, schedule):
    chain = MarkovChain(LENGTH, THREE)
    times, weights = gauss(64)
    assert mean_training_loss(objective, chain, schedule, times, weights) == pytest.approx(chain.entropy(), rel=1e-8)


@pytest.mark.parametrize("schedule", [LogLinear(eps=0.0), CosineSquared(eps=0.0)], ids=repr)
def test_importance_sampling_estimates_the_same_integral(schedule):
    chain = MarkovChain(LENGTH, THREE)
    times, weights = gauss(64)
    objective = MDLM(importance=True, first_time=1e-5)
    assert mean_training_loss(objective, chain, schedule, times, weights) == pytest.approx(chain.entropy(), rel=1e-4)


def test_importance_sampling_counts_what_its_times_cover():
    """A uniform denoiser's loss is the hidden fraction gained between the ends; the authors' weight gives more."""
    schedule, (times, weights) = Linear(sigma_min=1e-3, sigma_max=3.0), gauss(64)
    objective = MDLM(importance=True, first_time=1e-3)
    hidden = 1 - schedule.alpha(torch.tensor([1e-3, 1.0], dtype=torch.float64))
    per_letter = sum(
        weight * (1 - level.alpha.item()) * level.weight.item()
        for time, weight in zip(times, weights, strict=True)
        for level in [objective.level(torch.tensor([time], dtype=torch.float64), schedule)]
    )
    assert per_letter == pytest.approx((hidden[1] - hidden[0]).item(), rel=1e-9)


@pytest.mark.parametrize("schedule", [Cosine(), Polynomial(power=1.0), Geometric()], ids=repr)
def test_md4_in_its_own_terms(schedule):
    """Weights by gamma = log(alpha / (1 - alpha)): gamma' alpha, and in T steps T expm1(gamma_t - gamma_s) alpha_s."""
    tokens, n = letters(6, 5, THREE), 6
    logits = torch.randn(n, 5, THREE.size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    hidden = torch.rand(n, 5, generator=torch.Generator().manual_seed(2)) < 0.5
    log_mu = logits[..., list(THREE.letters)].log_softmax(-1)
    cost = -log_mu.gather(-1, THREE.letter_index[tokens][..., None])[..., 0] * hidden

    def gamma(t):
        return schedule.alpha(t).logit()

    def loss(objective, times):
        noise = Noise(times, hidden.double()[:, None])
        return objective.loss(Given(logits), Batch(tokens), noise, schedule, THREE).nats

    t = torch.linspace(0.1, 0.9, n, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(gamma(t).sum(), t)
    t = t.detach()
    assert torch.allclose(loss(MD4(), t), -(slope * schedule.alpha(t))[:, None] * cost, rtol=1e-10)
    assert torch.equal(loss(MD4(), t), loss(MDLM(first_time=0.0), t))
    t, s = torch.arange(2, 8) / 10.0, torch.arange(1, 7) / 10.0
    t, s = t.double(), s.double()
    weight = -10 * torch.expm1(gamma(t) - gamma(s)) * schedule.alpha(s)
    assert torch.allclose(loss(MD4(T=10), s + 0.05), weight[:, None] * cost, rtol=1e-6)


@pytest.mark.parametrize("objective", [MDLM(T=8), MD4(T=8), D3PM(T=8, zero_masking=True)], ids=repr)
def test_a_uniform_network_costs_two_bits_in_discrete_time(objective):
    """Whatever the schedule leaves out; without carry-over, as much again for letters that it does not copy."""
    n = 10_000
    times = (torch.arange(8) + 0.5) / 8
    uniforms = ((torch.arange(n) + 0.5) / n).expand(8, 1, n)  # hides 1 - alpha of the positions, to a rounding
    for schedule in (LogLinear(), Linear()):
        nats = objective.row_nats(
            UniformNetwork(), Batch(letters(8, n)), Noise(times, uniforms), schedule, DNA, Numbers()
        )
        bits = nats.mean().item() / n / math.log(2)
        assert bits == pytest.approx(4.0 if isinstance(objective, D3PM) else 2.0, abs=1e-3)


@every_objective
def test_gradients_agree_with_finite_differences(objective):
    torch.manual_seed(0)
    network = Small(DNA).double()
    batch, noise = Batch(letters(4, 7)), draw_noise(np.random.default_rng(1), 4, 7)
    noise = Noise(noise.times.double(), noise.uniforms.double())

    def loss():
        return objective.loss(network, batch, noise, LogLinear(), DNA).nats.sum()

    loss().backward()
    step = 1e-5
    for parameter in network.parameters():
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        for index in grad.abs().topk(min(5, len(grad))).indices.tolist():
            kept = flat[index].item()
            values = []
            for sign in (1, -1):
                flat[index] = kept + sign * step
                values.append(loss().item())
            flat[index] = kept
            assert grad[index].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-7)


@every_objective
def test_a_batch_of_unknown_bases_has_loss_zero_and_gradient_zero(objective):
    network = UniformNetwork()
    batch, noise = Batch(torch.full((2, 8), DNA.unknown)), draw_noise(np.random.default_rng(0), 2, 8)
    terms = objective.loss(network, batch, noise, LogLinear(), DNA)
    terms.nats.sum().backward()
    assert terms.nats.sum() == 0
    assert not terms.valid.any()
    assert network.level.grad == 0
    assert (objective.row_nats(network, batch, noise, LogLinear(), DNA, Numbers()) == 0).all()


@every_objective
def test_special_and_padded_rows_of_the_head_cost_nothing(objective):
    """Letters cost the same however likely the head thinks an id that can be neither a letter nor the mask."""
    torch.manual_seed(0)
    network = Small(DNA)
    batch, noise = Batch(letters(4, 9)), draw_noise(np.random.default_rng(1), 4, 9)
    before = objective.loss(network, batch, noise, LogLinear(), DNA).nats
    others = [i for i in range(DNA.size) if i not in (*DNA.letters, DNA.mask)]
    with torch.no_grad():
        network.head.bias[others] += 50.0
    assert torch.equal(objective.loss(network, batch, noise, LogLinear(), DNA).nats, before)


@every_objective
def test_a_network_that_is_told_the_time_hears_the_chance_to_be_hidden(objective):
    """In training and in evaluation, whatever the schedule; zero with the clean row that D3PM reads."""
    network, rows = Small(DNA, time_conditioned=True), Batch(letters(4, 2000))
    noise = draw_noise(np.random.default_rng(1), 4, 2000)
    objective.loss(network, rows, noise, Cosine(), DNA)
    objective.row_nats(network, rows, noise, Cosine(), DNA, Numbers())
    for told, hidden in zip(network.told, network.hidden, strict=True):
        assert told.dtype == torch.float32
        assert torch.allclose(told.double(), hidden, atol=0.05)


@every_objective
def test_a_network_that_is_not_told_the_time_hears_nothing(objective):
    network, noise = Small(DNA), draw_noise(np.random.default_rng(1), 4, 9)
    objective.loss(network, Batch(letters(4, 9)), noise, Cosine(), DNA)
    objective.row_nats(network, Batch(letters(4, 9)), noise, Cosine(), DNA, Numbers())
    assert network.told == [None] * len(network.told)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (MDLM, {"T": 10, "importance": True}, "importance draws times from a continuum; leave T null"),
        (MDLM, {"T": 10, "first_time": 0.01}, "first_time has no part in a chain of T steps; leave it out"),
        (MDLM, {"importance": True, "first_time": 0.0}, "set first_time above 0"),
        (MD4, {"importance": True}, "set first_time above 0"),
        (D3PM, {"T": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_make_no_sense_say_how_to_mend_them(make, settings, message):
    with pytest.raises(ValidationError, match=message):
        make(**settings)


@pytest.mark.parametrize(("objective", "schedule"), [
    (MDLM(first_time=0.0), LogLinear()), (MD4(T=1000), Polynomial(power=60.0, eps=0.0)),
    (D3PM(), Polynomial(power=60.0, eps=0.0)),
], ids=repr)  # fmt: skip
def test_a_row_so_early_that_nothing_can_be_hidden_costs_nothing_though_its_weight_is_endless(objective, schedule):
    """Beside one where everything is; D3PM still copies its letters."""
    torch.manual_seed(0)
    network, tokens = Small(THREE), torch.tensor([[0, 2, 3], [2, 2, 0]])
    noise = Noise(torch.tensor([0.0, 1.0]), torch.full((2, 1, LENGTH), 0.999))
    nats = objective.loss(network, Batch(tokens), noise, schedule, THREE).nats
    assert nats.isfinite().all()
    assert (nats[1] > 0).all()
    assert (nats[0] > 0).all() if isinstance(objective, D3PM) else (nats[0] == 0).all()
    nats.sum().backward()
    assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in network.parameters())
