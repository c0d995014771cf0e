"""Banned letters: the others keep their proportions; the law of letters that know nothing of each other is exact."""

import itertools

import pytest
import torch
from laws import THREE, TableDenoiser
from worlds import ExactNetwork, uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import answers_of
from dnadiff.diffusion.bans import Without
from dnadiff.diffusion.samplers import Ancestral, FirstHitting
from dnadiff.diffusion.schedules import LogLinear

CHANCES = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
BANNED = torch.tensor([False, True, False])
LENGTH, ROWS = 3, 60_000


def independent() -> ExactNetwork:
    letters = torch.tensor(list(itertools.product(range(3), repeat=LENGTH)))
    return ExactNetwork(THREE, THREE.letter_ids[letters], CHANCES.log()[letters].sum(1))


@pytest.mark.parametrize("sampler", [Ancestral(steps=4), FirstHitting()], ids=lambda settings: settings.kind)
def test_independent_letters_have_the_law_given_that_none_is_banned(sampler):
    denoiser = Without(TableDenoiser(independent()), BANNED)
    state = Batch(torch.full((ROWS, LENGTH), THREE.mask))
    *_, last = sampler.sample(denoiser, state, LogLinear(eps=0), THREE, uniforms=uniforms(ROWS))
    shares = torch.bincount(THREE.letter_index[last.tokens].flatten(), minlength=3) / (ROWS * LENGTH)
    assert shares[1] == 0
    assert torch.allclose(shares.double(), torch.tensor([0.625, 0.0, 0.375]).double(), atol=0.005)


def test_the_others_keep_their_proportions_and_the_sum_stays():
    weights = torch.randn(5, 3, dtype=torch.float64)
    kept = Without(lambda: weights, BANNED)()
    assert torch.isneginf(kept[:, 1]).all()
    assert torch.allclose(kept[:, 0] - kept[:, 2], weights[:, 0] - weights[:, 2])
    assert torch.allclose(kept.logsumexp(-1), weights.logsumexp(-1))
    assert torch.equal(answers_of(Without(lambda: weights, BANNED)).all(), kept)


def test_where_a_banned_letter_is_certain_another_is_drawn():
    certain = torch.tensor([[-torch.inf, 0.0, -torch.inf]])
    assert Without(lambda: certain, BANNED)().exp()[0].tolist() == pytest.approx([0.5, 0.0, 0.5])
