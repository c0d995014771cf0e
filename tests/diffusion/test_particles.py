"""Particle methods: the law tends to the tilted one as particles grow, and rewards are of whole sequences."""

import pytest
import torch
from laws import THREE, WORLDS, TableDenoiser, bias
from tilted import TiltedWorld
from worlds import uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.caching import Cached
from dnadiff.diffusion.samplers import Ancestral
from dnadiff.diffusion.samplers.particles import SMC, SVDD, _draw
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.diffusion.uniforms import RowUniforms

LENGTH, N = 4, 3000
GRID = Ancestral(steps=16)
TILTED = TiltedWorld(WORLDS[0])
both = pytest.mark.parametrize("method", [SMC, SVDD])


def draw(method, n=N, start=None, numbers=None):
    tokens = (torch.full((LENGTH,), THREE.mask) if start is None else start).expand(n, LENGTH)
    denoiser = Cached(TableDenoiser(WORLDS[0]))
    states = list(method.sample(denoiser, Batch(tokens), LogLinear(eps=0.0), THREE, uniforms=numbers or uniforms(n)))
    assert len(states) == method.n_steps(LENGTH)
    return states[-1].tokens


def test_the_law_of_smc_tends_to_the_tilted_one_as_particles_grow():
    found = [bias(TILTED, draw(SMC(GRID, TILTED.reward, number=number))) for number in (1, 4, 16)]
    assert found[0] > 1.0
    assert found[1] < 0.5 * found[0]
    assert found[2] < 0.5 * found[1]


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_smc_without_resampling_and_with_it_at_every_step_both_do(threshold):
    assert bias(TILTED, draw(SMC(GRID, TILTED.reward, number=16, threshold=threshold))) < 0.3


def test_smc_needs_no_good_estimate_on_the_way():
    """The end puts right what a wrong worth preferred."""
    wrong = SMC(GRID, TILTED.reward, number=32, worth=lambda batch: -TILTED.factor(batch))
    assert bias(TILTED, draw(wrong)) < 0.3


@pytest.mark.parametrize("worth", [TILTED.factor, None], ids=["exact", "estimated"])
def test_the_bias_of_svdd_falls_with_candidates(worth):
    few, more = (bias(TILTED, draw(SVDD(GRID, TILTED.reward, number=number, worth=worth))) for number in (2, 12))
    assert few > 0.2
    assert more < 0.4 * few


def test_particles_that_are_not_weighted_do_not():
    class Unweighted(SMC):
        def _anew(self, log_weights, uniforms):
            return super()._anew(torch.zeros_like(log_weights), uniforms)

    plain = bias(TILTED, draw(Unweighted(GRID, TILTED.reward, number=16)))
    assert plain > 5 * bias(TILTED, draw(SMC(GRID, TILTED.reward, number=16)))


@both
def test_strength_says_how_much_reward_counts(method):
    found = [
        TILTED.reward(draw(method(GRID, TILTED.reward, strength=strength), n=1500)).mean().item()
        for strength in (-2, 0, 1, 3)
    ]
    assert found == sorted(found)
    assert found[1] == pytest.approx((WORLDS[0].log_probs.exp() @ TILTED.rewards).item(), abs=0.15)


@both
def test_visible_positions_stay_and_one_copy_is_the_sampler(method):
    start = torch.tensor([THREE.mask, THREE.letters[1], THREE.mask, THREE.letters[0]])
    drawn = draw(method(GRID, TILTED.reward, number=4), n=500, start=start)
    assert (drawn[:, [1, 3]] == start[[1, 3]]).all()
    assert THREE.is_letter(drawn).all()
    assert bias(WORLDS[0], draw(method(Ancestral(steps=64), TILTED.reward, number=1))) < 0.12


@both
def test_a_row_does_not_depend_on_its_neighbours(method):
    steered = method(GRID, TILTED.reward, number=3)
    together = draw(steered, n=6, numbers=RowUniforms(1, range(6)))
    alone = [draw(steered, n=1, numbers=RowUniforms(1, [row])) for row in range(6)]
    assert torch.equal(torch.cat(alone), together)


def test_the_reward_is_asked_of_whole_sequences_and_only_where_something_changed():
    asked = []

    def reward(tokens):
        assert THREE.is_letter(tokens).all()
        asked.append(len(tokens))
        return TILTED.reward(tokens)

    draw(SMC(Ancestral(steps=100), reward, number=4), n=50)
    assert sum(asked) <= 50 * 4 * (LENGTH + 1)


def test_copies_are_drawn_in_proportion_to_weight():
    weights = torch.tensor([[0.0, 0.25, 0.75, 0.0]]).log().double()
    copies = _draw(weights, torch.tensor([[0.0, 0.2, 0.26, 0.9999999]]).double())
    assert copies.tolist() == [[1, 1, 2, 2]]
