"""Guidance by exactly given factors draws the tilted law, and what is a little wrong does not."""

import itertools
import math

import pytest
import torch
from laws import THREE, WORLDS, TableDenoiser, bias, counts, distance, g_test
from tilted import TiltedWorld
from worlds import ExactNetwork, uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.guidance import ClassifierFree, FirstOrder, Guided
from dnadiff.diffusion.samplers import Ancestral, FirstHitting
from dnadiff.diffusion.schedules import LogLinear

N, LENGTH = 100_000, 4
FEWER = 30_000
every_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: type(world).__name__)


def draw(denoiser, sampler=None, n=N, label=None):
    masks = Batch(torch.full((n, LENGTH), THREE.mask), label=label)
    states = (sampler or FirstHitting()).sample(denoiser, masks, LogLinear(eps=0.0), THREE, uniforms=uniforms(n))
    return list(states)[-1].tokens


def guided(tilted, **settings):
    return Guided(TableDenoiser(tilted.world), tilted.factor, THREE, batch_size=1 << 20, **settings)


@every_world
def test_an_exact_factor_at_strength_one_gives_the_tilted_law_and_nothing_else_does(world):
    tilted = TiltedWorld(world)
    drawn = draw(guided(tilted))
    assert g_test(tilted, drawn) > 1e-3
    assert distance(tilted, drawn).is_noise
    for wrong in (guided(tilted, strength=1.1), TableDenoiser(world)):
        assert g_test(tilted, draw(wrong, n=50_000)) < 1e-6


def test_a_factor_that_is_told_the_row_without_the_letter_changes_nothing():
    """What guidance would be if it forgot to put the letters in."""
    world = WORLDS[0]
    blind = Guided(TableDenoiser(world), lambda batch: torch.ones(len(batch.tokens)), THREE, batch_size=1 << 20)
    drawn = draw(blind, n=FEWER)
    assert g_test(world, drawn) > 1e-3
    assert g_test(TiltedWorld(world), drawn) < 1e-9


def test_with_several_positions_at_a_time_it_is_consistent_as_steps_grow():
    tilted = TiltedWorld(WORLDS[0])
    few, more = (bias(tilted, draw(guided(tilted), Ancestral(steps=steps), n=20_000)) for steps in (3, 24))
    assert few > 0.1
    assert more < few / 3


def test_a_factor_sees_rows_that_differ_in_one_letter_each_in_parts_of_any_size():
    world = WORLDS[0]
    tilted = TiltedWorld(world)
    start = world.sequences[::9].clone()
    start[::2, 1:3] = THREE.mask
    wanted = start == THREE.mask
    whole = Guided(TableDenoiser(world), tilted.factor, THREE)(Batch(start), wanted)
    parts = Guided(TableDenoiser(world), tilted.factor, THREE, batch_size=2)(Batch(start), wanted)
    assert torch.equal(whole, parts)
    assert torch.allclose(whole, TableDenoiser(tilted)(Batch(start), wanted), rtol=1e-9)
    nothing = torch.zeros_like(wanted)
    assert Guided(TableDenoiser(world), tilted.factor, THREE)(Batch(start), nothing).shape == (0, 3)


class ClassDenoiser(TableDenoiser):
    """An even mixture of two languages as a denoiser that may be told which one it is."""

    def __init__(self):
        log_probs = torch.stack([world.log_probs for world in WORLDS]).logsumexp(0) - math.log(2)
        self.both = ExactNetwork(THREE, WORLDS[0].sequences, log_probs)
        super().__init__(self.both)
        self.told = [TableDenoiser(world) for world in WORLDS]

    def __call__(self, batch, wanted, t=None):
        if batch.label is None:
            return super().__call__(batch, wanted)
        answers = torch.stack([denoiser(batch, wanted) for denoiser in self.told])
        return answers[batch.label[wanted.nonzero()[:, 0]], torch.arange(int(wanted.sum()))]


@pytest.mark.parametrize("label", [0, 1])
def test_strength_one_is_the_law_of_the_class_and_strength_zero_that_of_all(label):
    labels = torch.full((FEWER,), label)
    of_class = draw(ClassifierFree(ClassDenoiser(), 1.0), n=FEWER, label=labels)
    of_all = draw(ClassifierFree(ClassDenoiser(), 0.0), n=FEWER, label=labels)
    assert g_test(WORLDS[label], of_class) > 1e-3
    assert g_test(ClassDenoiser().both, of_all) > 1e-3
    assert g_test(WORLDS[label], of_all) < 1e-6


def test_more_strength_makes_a_class_more_typical():
    """Typical: the mean log-odds of the class against the other."""
    odds = WORLDS[1].log_probs - WORLDS[0].log_probs
    labels = torch.ones(5000, dtype=torch.int64)
    found = [
        (counts(WORLDS[1], draw(ClassifierFree(ClassDenoiser(), strength), n=5000, label=labels)) @ odds).item()
        for strength in (0.0, 0.5, 1.0, 2.0, 4.0)
    ]
    assert found == sorted(found)


def test_what_cannot_be_stays_impossible_at_any_strength():
    class Sure:
        time_conditioned = False

        def __call__(self, batch, wanted, t=None):
            never = [0.5, 0.5, 0.0] if batch.label is None else [1.0, 0.0, 0.0]
            return torch.tensor([never]).log()

    for strength in (0.5, 1.0, 3.0):
        one = Batch(torch.tensor([[THREE.mask]]), label=torch.tensor([0]))
        log_probs = ClassifierFree(Sure(), strength)(one, torch.tensor([[True]]))
        assert log_probs.exp().tolist() == [[1.0, 0.0, 0.0]]


def embed(tokens):
    """Letters as vectors, the mask as zero."""
    angles = 2.1 * THREE.letter_index[tokens]
    vectors = torch.stack([angles.cos(), angles.sin(), (0.3 * angles).cos()], -1).double()
    return vectors * (THREE.letter_index[tokens] >= 0)[..., None]


WEIGHTS = torch.randn(LENGTH, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_first_order_guidance_is_exact_for_a_factor_that_is_linear():
    linear = FirstOrder(TableDenoiser(WORLDS[0]), embed, lambda rows: (rows * WEIGHTS).sum((1, 2)), THREE, 1.7)
    exact = Guided(TableDenoiser(WORLDS[0]), lambda batch: (embed(batch.tokens) * WEIGHTS).sum((1, 2)), THREE, 1.7)
    start = torch.tensor(list(itertools.product([THREE.mask, *THREE.letters], repeat=LENGTH)))
    wanted = start == THREE.mask
    assert torch.allclose(linear(Batch(start), wanted), exact(Batch(start), wanted), rtol=1e-9)


def test_first_order_guidance_is_off_by_what_bends():
    """tanh(s x) / s bends by the cube: four times the error at twice the scale."""
    start = torch.full((1, LENGTH), THREE.mask)
    wanted, errors = start == THREE.mask, []
    for scale in (0.02, 0.04):

        def factor(rows, scale=scale):
            return torch.tanh(scale * (rows * WEIGHTS).sum((1, 2))) / scale

        rough = FirstOrder(TableDenoiser(WORLDS[0]), embed, factor, THREE)(Batch(start), wanted)
        of_tokens = Guided(TableDenoiser(WORLDS[0]), lambda batch, f=factor: f(embed(batch.tokens)), THREE)
        errors.append((rough - of_tokens(Batch(start), wanted)).abs().max().item())
    assert 0 < errors[0] < 1e-2
    assert errors[1] / errors[0] == pytest.approx(4, rel=0.1)
