import itertools
import math

import numpy as np
import pytest
import torch
from worlds import MarkovChain, UniformNetwork

from dnadiff.batch import Batch
from dnadiff.diffusion.bound import bound_nats, hide_random_numbers, spread_fractions
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.vocab import DNA


def test_a_uniform_denoiser_gives_exactly_two_bits_on_every_draw():
    generator = np.random.default_rng(0)
    tokens = DNA.letter_ids[torch.from_numpy(generator.integers(4, size=(20, 33)))]
    hidden = hide_random_numbers(
        np.ones(tokens.shape, bool), spread_fractions(generator, 20), generator.random(tokens.shape)
    )
    nats = bound_nats(SubsDenoiser(UniformNetwork(), DNA), Batch(tokens), torch.from_numpy(hidden), DNA)
    assert torch.allclose(nats / 33 / math.log(2), torch.tensor(2.0, dtype=torch.float64), rtol=1e-6)


@pytest.mark.parametrize("letters", [(0, 1, 2, 3, 0), (3, 3, 3, 3, 3), (1, 0, 2, 2, 1)])
def test_exact_conditionals_of_a_markov_chain_give_minus_log_p(letters):
    """The mean over the number of hidden positions and over all subsets of that size, enumerated."""
    chain, length = MarkovChain(), len(letters)
    masks = [mask for mask in itertools.product([False, True], repeat=length) if any(mask)]
    tokens = DNA.letter_ids[torch.tensor(letters)].repeat(len(masks), 1)
    nats = bound_nats(chain, Batch(tokens), torch.tensor(masks), DNA)
    chances = torch.tensor([1 / length / math.comb(length, sum(mask)) for mask in masks], dtype=torch.float64)
    assert (chances * nats).sum().item() == pytest.approx(-chain.log_prob(letters).item(), rel=1e-12)


def test_numbers_are_stratified_and_subsets_uniform():
    generator = np.random.default_rng(1)
    scored = np.ones((18, 10), bool)
    scored[:, 3] = False
    counts = np.zeros(10)
    for _ in range(200):
        hidden = hide_random_numbers(scored, spread_fractions(generator, 18), generator.random(scored.shape))
        assert not hidden[:, 3].any()
        assert sorted(hidden.sum(1)) == sorted([*range(1, 10)] * 2)
        counts += hidden.sum(0)
    expected = counts.sum() / 9
    assert np.abs(np.delete(counts, 3) - expected).max() < 5 * math.sqrt(expected)


def test_rows_without_letters_hide_nothing_and_cost_nothing():
    tokens = torch.full((2, 6), DNA.unknown)
    hidden = hide_random_numbers(np.zeros((2, 6), bool), np.array([0.1, 0.9]), np.random.default_rng(0).random((2, 6)))
    assert not hidden.any()
    nats = bound_nats(SubsDenoiser(UniformNetwork(), DNA), Batch(tokens), torch.from_numpy(hidden), DNA)
    assert (nats == 0).all()
