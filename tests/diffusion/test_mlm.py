"""Masked language modelling: what is chosen, what becomes of it, and that nobody takes its loss for a likelihood."""

import math

import numpy as np
import pytest
import torch
from worlds import ExactNetwork, UniformNetwork

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import Likelihood
from dnadiff.diffusion.estimators import Numbers
from dnadiff.diffusion.noise import Noise, draw_noise
from dnadiff.diffusion.objectives import MLM
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.errors import InputError
from dnadiff.models import Caduceus
from dnadiff.vocab import DNA


def letters(rows, length):
    return DNA.letter_ids[torch.randint(4, (rows, length), generator=torch.Generator().manual_seed(1))]


def noise(rows, length, seed=0):
    return draw_noise(np.random.default_rng(seed), rows, length, n_uniforms=MLM.n_uniforms)


def loss(network, batch, drawn, objective=None):
    return (objective or MLM()).loss(network, batch, drawn, LogLinear(), DNA)


def near(share, expected, n):
    return abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


@pytest.mark.parametrize("chosen_share", [0.15, 0.5])
def test_fifteen_in_a_hundred_are_chosen_and_of_these_80_hidden_10_replaced_and_10_kept(chosen_share):
    batch, drawn = Batch(letters(50, 2000)), noise(50, 2000)
    objective = MLM(chosen=chosen_share)
    chosen = loss(UniformNetwork(), batch, drawn, objective).valid
    assert near(chosen.double().mean().item(), chosen_share, 100_000)
    seen = objective.corrupted(batch, chosen, drawn, DNA).tokens
    n = int(chosen.sum())
    assert near((seen[chosen] == DNA.mask).double().mean().item(), 0.8, n)
    replaced = chosen & (seen != DNA.mask) & (seen != batch.tokens)
    assert near(replaced.sum().item() / n, 0.1 * 3 / 4, n)  # a quarter of the replacements is the letter itself
    assert near((seen == batch.tokens)[chosen].double().mean().item(), 0.1 + 0.1 / 4, n)
    shares = torch.bincount(DNA.letter_index[seen[replaced]], minlength=4) / replaced.sum()
    assert all(near(share.item(), 1 / 4, int(replaced.sum())) for share in shares)
    assert torch.equal(seen[~chosen], batch.tokens[~chosen])


def test_as_published_any_token_may_stand_in():
    batch, drawn = Batch(letters(50, 2000)), noise(50, 2000)
    objective = MLM(any_token=True)
    chosen = loss(UniformNetwork(), batch, drawn, objective).valid
    seen = objective.corrupted(batch, chosen, drawn, DNA).tokens[chosen]
    counts = torch.bincount(seen, minlength=DNA.size)
    n = int(chosen.sum())
    assert all(near(counts[token].item() / n, 0.1 / 12, n) for token in (0, 1, 2, 4, 5, 6, 11))
    assert (counts[12:] == 0).all()


def test_the_loss_is_the_cross_entropy_at_the_chosen_positions():
    tokens = letters(2, 400)
    drawn = noise(2, 400)
    terms = loss(UniformNetwork(), Batch(tokens), drawn)
    assert torch.allclose(terms.nats[terms.valid], torch.tensor(math.log(4)))
    assert (terms.nats[~terms.valid] == 0).all()
    assert MLM.likelihood is Likelihood.NONE


def test_hidden_letters_cost_what_the_exact_posterior_says():
    sequences = torch.tensor([[7, 8], [7, 9], [9, 9]])
    language = ExactNetwork(DNA, sequences, torch.tensor([0.5, 0.25, 0.25]).double().log())
    uniforms = torch.tensor([[[0.0, 0.9], [0.0, 0.0], [0.0, 0.0]]])  # the first chosen and hidden
    terms = loss(language, Batch(sequences[:1]), Noise(torch.zeros(1), uniforms))
    assert terms.valid.tolist() == [[True, False]]
    assert terms.nats[0, 0].item() == pytest.approx(0.0, abs=1e-12)
    uniforms[0, 0] = 0.0  # both: nothing is known
    terms = loss(language, Batch(sequences[:1]), Noise(torch.zeros(1), uniforms))
    assert terms.nats[0].exp().tolist() == pytest.approx([4 / 3, 2.0])


def test_unknown_and_padded_positions_are_never_chosen():
    tokens = letters(3, 8)
    tokens[:, 2] = DNA.unknown
    tokens[0, 5:] = DNA.pad
    batch, drawn = Batch(tokens, valid=tokens != DNA.pad), Noise(torch.zeros(3), torch.zeros(3, 3, 8))
    assert torch.equal(loss(UniformNetwork(), batch, drawn).valid, DNA.is_letter(tokens))


def test_a_batch_of_unknown_bases_has_loss_zero_and_gradient_zero():
    network = UniformNetwork()
    terms = loss(network, Batch(torch.full((2, 8), DNA.unknown)), noise(2, 8))
    terms.nats.sum().backward()
    assert terms.nats.sum() == 0
    assert not terms.valid.any()
    assert network.level.grad == 0


def test_the_gradient_agrees_with_finite_differences():
    torch.manual_seed(0)
    network = Caduceus(width=4, n_layers=1, n_states=2).build(DNA).double()
    batch, drawn, step = Batch(letters(2, 30)), noise(2, 30), 1e-6
    loss(network, batch, drawn).nats.sum().backward()
    for parameter in network.parameters():
        flat, grad = parameter.data.view(-1), parameter.grad.view(-1)
        index = int(grad.abs().argmax())
        kept, values = flat[index].item(), []
        for sign in (1, -1):
            flat[index] = kept + sign * step
            values.append(loss(network, batch, drawn).nats.sum().item())
        flat[index] = kept
        assert grad[index].item() == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-7)


def test_there_is_no_bound_to_ask_for():
    with pytest.raises(InputError, match="mlm gives no bound on the likelihood; ask for the pseudo-likelihood"):
        MLM().row_nats(UniformNetwork(), Batch(letters(1, 4)), noise(1, 4), LogLinear(), DNA, Numbers())
