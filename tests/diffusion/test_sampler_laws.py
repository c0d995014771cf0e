"""Each sampler against the language whose exact posterior it is given: 81 sequences, 1e5 samples.

Exact at any number of steps, consistent as steps grow, consistent in a parameter of its own, or biased by design.
"""

import math

import pytest
import torch
from laws import THREE, WORLDS, TableDenoiser, bias, distance, draw, g_test, unlikelihood
from worlds import uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.objectives import MDLM, GenMD4
from dnadiff.diffusion.samplers import Ancestral, EntropyBounded, FirstHitting, Ordered, PathPlanning, ReMDM
from dnadiff.diffusion.samplers.order import SURENESS
from dnadiff.diffusion.samplers.remdm import SIGMAS
from dnadiff.diffusion.schedules import Cosine, LogLinear
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.errors import InputError

N = 100_000
FEWER = 40_000  # where what is looked for is large
CHAIN = WORLDS[0]
LENGTH = CHAIN.sequences.shape[1]
EXACT = [
    FirstHitting(),
    *(Ordered(order=order, steps=LENGTH) for order in ("confidence", "margin", "entropy")),
    EntropyBounded(bound=0.0),
]
ALL = [
    *EXACT, Ancestral(steps=3), Ancestral(steps=3, grid="cosine"), Ordered(order="drawn", steps=3),
    EntropyBounded(bound=1.0), PathPlanning(steps=3), PathPlanning(steps=3, eta=2.0, top_k=1),
    *(ReMDM(steps=5, remask=remask, eta=0.9) for remask in ("cap", "rescale", "conf")),
]  # fmt: skip
every_world = pytest.mark.parametrize("world", WORLDS, ids=lambda world: type(world).__name__)
every_sampler = pytest.mark.parametrize("sampler", ALL, ids=repr)


def sample_of(world, n=N):
    """From the language itself."""
    generator = torch.Generator().manual_seed(5)
    return world.sequences[torch.multinomial(world.log_probs.exp(), n, True, generator=generator)]


@every_world
def test_the_language_itself_passes_and_what_is_a_little_wrong_does_not(world):
    right = sample_of(world)
    assert g_test(world, right) > 1e-3
    assert distance(world, right).is_noise
    assert bias(world, right) < 0.02
    wrong = right.clone()
    wrong[::50, 2] = world.vocab.letters[0]
    assert g_test(world, wrong) < 1e-3


@every_world
def test_looked_up_posteriors_are_the_enumerated_ones(world):
    states = world.sequences[::7].clone()
    states[torch.rand(states.shape, generator=torch.Generator().manual_seed(0)) < 0.5] = world.vocab.mask
    hidden = states == world.vocab.mask
    found = TableDenoiser(world)(Batch(states), hidden)
    assert torch.allclose(found, SubsDenoiser(world, world.vocab)(Batch(states), hidden), rtol=1e-12)


@every_world
@pytest.mark.parametrize("sampler", EXACT, ids=repr)
def test_one_position_at_a_time_is_exact(world, sampler):
    drawn = draw(sampler, world, N)
    assert g_test(world, drawn) > 1e-3
    assert distance(world, drawn).is_noise


@every_world
@pytest.mark.parametrize("sampler", [FirstHitting(), EntropyBounded(bound=0.0)], ids=repr)
def test_a_slightly_other_law_would_be_seen(world, sampler):
    assert g_test(world, draw(sampler.model_copy(update={"temperature": 1.05}), world, N)) < 1e-6


def test_positions_that_are_given_condition_the_rest():
    start = torch.tensor([THREE.mask, THREE.letters[2], THREE.mask, THREE.letters[0]])
    fits = ((CHAIN.sequences == start) | (start == THREE.mask)).all(1)
    expected = CHAIN.log_probs[fits].softmax(0)
    drawn = draw(FirstHitting(), CHAIN, N, start=start)
    shares = (drawn[:, None] == CHAIN.sequences[fits]).all(-1).double().mean(0)
    assert shares.sum() == 1
    assert ((shares - expected).abs() < 4 * (expected / N).sqrt()).all()


@every_world
@pytest.mark.parametrize("grid", ["uniform", "cosine"])
def test_the_bias_of_ancestral_sampling_falls_with_the_number_of_steps(world, grid):
    few, more = (bias(world, draw(Ancestral(steps=steps, grid=grid), world, FEWER)) for steps in (4, 16))
    assert few > 0.1
    assert 0.15 < more / few < 0.4


@pytest.mark.parametrize("remask", ["cap", "rescale", "conf"])
def test_the_bias_of_remasking_falls_with_the_root_of_the_number_of_steps(remask):
    few, more = (bias(CHAIN, draw(ReMDM(steps=steps, remask=remask, eta=0.5), CHAIN, FEWER)) for steps in (4, 16))
    assert few > 0.15
    assert 1.3 / 4 < more / few < 1 / math.sqrt(4) + 0.05  # slower than ancestral sampling's 1 / 4


def test_without_remasking_it_is_ancestral_sampling():
    drawn = [draw(sampler, CHAIN, 1000) for sampler in (ReMDM(steps=3, eta=0.0), Ancestral(steps=3))]
    shares = [(tokens == THREE.letters[0]).double().mean(0) for tokens in drawn]
    assert torch.allclose(*shares, atol=4 * math.sqrt(0.5 / 1000))


def test_remasking_keeps_the_visible_fraction_of_the_schedule():
    sampler = ReMDM(steps=5, remask="rescale", eta=0.9)
    masks = torch.full((20_000, LENGTH), THREE.mask)
    states = sampler.sample(
        TableDenoiser(CHAIN), Batch(masks), LogLinear(eps=0.0), THREE, uniforms=uniforms(len(masks))
    )
    hidden = [(state.tokens == THREE.mask).double().mean().item() for state in states]
    assert hidden == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0], abs=0.01)


def test_the_bias_of_an_entropy_bound_vanishes_with_it_and_so_does_the_saving():
    found = []
    for bound in (0.5, 1.0, 1.05, 2.0):
        denoiser = TableDenoiser(CHAIN)
        masks = Batch(torch.full((FEWER, LENGTH), THREE.mask))
        sampler = EntropyBounded(bound=bound)
        tokens = list(sampler.sample(denoiser, masks, LogLinear(), THREE, uniforms=uniforms(FEWER)))[-1].tokens
        found.append((bias(CHAIN, tokens), -denoiser.calls))
    assert found == sorted(found)
    assert found[0][0] < 0.02
    assert found[-1] > (0.4, -LENGTH)


@every_world
@pytest.mark.parametrize("sampler", [Ordered(order="drawn", steps=LENGTH), PathPlanning(steps=LENGTH)], ids=repr)
def test_the_order_of_drawn_letters_favours_likely_sequences(world, sampler):
    drawn = draw(sampler, world, FEWER)
    assert distance(world, drawn).excess > 0.3
    assert unlikelihood(world, drawn) < -0.3


@every_world
def test_path_planning_that_takes_nothing_back_is_the_order_of_drawn_letters_and_doubt_sharpens_it(world):
    n = 20_000
    stays, ordered = (draw(s, world, n) for s in (PathPlanning(steps=4, eta=0.0), Ordered(order="drawn", steps=4)))
    assert torch.equal(stays, ordered)
    assert unlikelihood(world, draw(PathPlanning(steps=12), world, n)) < unlikelihood(world, stays) - 0.1


@every_sampler
@pytest.mark.parametrize("schedule", [LogLinear(), Cosine()], ids=repr)
def test_every_mask_is_filled_and_nothing_else_changes(sampler, schedule):
    generator = torch.Generator().manual_seed(0)
    tokens = CHAIN.sequences[torch.randint(81, (40,), generator=generator)]
    fixed = torch.rand(tokens.shape, generator=generator) < 0.4
    start = torch.where(fixed, tokens, THREE.mask)
    states = list(sampler.sample(TableDenoiser(CHAIN), Batch(start), schedule, THREE, uniforms=uniforms(40)))
    assert len(states) <= sampler.n_steps(LENGTH)
    assert all(torch.equal(state.tokens[fixed], tokens[fixed]) for state in states)
    assert THREE.is_letter(states[-1].tokens).all()


@every_sampler
def test_the_time_is_a_chance_to_be_hidden_and_told_only_to_those_who_ask(sampler):
    class Listener(TableDenoiser):
        def __call__(self, batch, wanted, t=None):
            assert (t is not None) is self.time_conditioned
            if t is not None:
                assert t.shape == (len(batch.tokens),)
                assert ((t > 0) & (t <= 1)).all()
            return super().__call__(batch, wanted, t)

    drawn = []
    for Listener.time_conditioned in (True, False):
        masks = Batch(torch.full((50, LENGTH), THREE.mask))
        states = sampler.sample(Listener(CHAIN), masks, LogLinear(), THREE, uniforms=uniforms(50))
        drawn.append(list(states)[-1].tokens)
    assert torch.equal(*drawn)


@pytest.mark.parametrize("sampler", [FirstHitting(), Ordered(), EntropyBounded(), PathPlanning(), ReMDM()], ids=repr)
def test_schedules_that_hide_some_letters_sooner_are_refused(sampler):
    assert MDLM().sampler(sampler) is sampler
    with pytest.raises(InputError, match=rf"{sampler.kind} is for schedules that hide all letters alike; choose auto"):
        GenMD4().sampler(sampler)


def test_sureness_is_that_of_the_closed_forms():
    probs = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2]], dtype=torch.float64)
    drawn = torch.tensor([1, 0])
    found = {name: sureness(probs.log(), drawn) for name, sureness in SURENESS.items()}
    assert torch.equal(found["confidence"].argsort(), torch.tensor([0, 1]))
    assert found["margin"].tolist() == pytest.approx([0.2, 0.4])
    assert (-found["entropy"]).tolist() == pytest.approx([1.0296530, 0.9502705])
    assert found["drawn"].exp().tolist() == pytest.approx([0.3, 0.6])


def test_what_is_hidden_again_is_what_eta_says_and_first_the_least_sure():
    confidence = torch.tensor([[0.2, 0.9, math.inf], [math.inf] * 3], dtype=torch.float64)
    assert (SIGMAS["cap"](0.3, 0.1, confidence) == 0.1).all()
    assert (SIGMAS["cap"](0.3, 0.5, confidence) == 0.3).all()
    assert torch.allclose(SIGMAS["rescale"](0.3, 0.5, confidence), torch.tensor(0.15, dtype=torch.float64))
    shares = SIGMAS["conf"](0.3, 0.5, confidence)
    assert shares.sum(1).tolist() == pytest.approx([0.15, 0.0])
    assert (shares[0, 0] / shares[0, 1]).item() == pytest.approx(math.exp(0.7))


def test_first_hits_come_at_the_order_statistics_of_uniform_times():
    class Listener(TableDenoiser):
        time_conditioned = True

        def __call__(self, batch, wanted, t=None):
            heard.append(t.mean().item())
            return super().__call__(batch, wanted, t)

    heard: list[float] = []
    masks = Batch(torch.full((20_000, LENGTH), THREE.mask))
    list(FirstHitting().sample(Listener(CHAIN), masks, LogLinear(), THREE, uniforms=uniforms(20_000)))
    assert heard == pytest.approx([0.8, 0.6, 0.4, 0.2], abs=0.01)
