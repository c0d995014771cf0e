"""Letters drawn jointly have exactly the law of independent ones given the rules, and samplers keep every rule."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from laws import THREE, TableDenoiser, counts, distance, draw
from scipy.stats import chi2
from worlds import ExactNetwork, MarkovChain, uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.constraints.automata import counted, required
from dnadiff.diffusion.constraints.constrained import Constrained, check_sampler
from dnadiff.diffusion.constraints.joint import RULED_OUT, Lattices
from dnadiff.diffusion.constraints.lattice import FREE, Row, Rule, compile_rules
from dnadiff.diffusion.learned_schedule import Learned
from dnadiff.diffusion.samplers import Analytic, Ancestral, EntropyBounded, FirstHitting, Ordered, PathPlanning, ReMDM
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.errors import InputError

N = 8_000
CHAIN = MarkovChain(4, THREE)
TIED = MarkovChain(4, THREE, seed=2)  # whose letters tell more of each other
RULES = [
    Rule("no bc, no aa", frozenset([(1, 2), (0, 0)])),
    Rule("some c", automaton=lambda n: required([(2,)], 3, n)),
    Rule("b at most twice", automaton=lambda n: counted([1], 0, 2, 3, n)),
]
SAMPLERS = [
    Ancestral(steps=1), Ancestral(steps=3), FirstHitting(), ReMDM(steps=5, remask="rescale", eta=0.9),
    ReMDM(steps=5, remask="cap", eta=0.5), FirstHitting(temperature=0.5), Ancestral(steps=3, top_k=1),
]  # fmt: skip


def lattice(length=4, rules=RULES, letters=None):
    given = np.full(length, FREE) if letters is None else np.array(letters)
    return compile_rules(rules, Row(given, np.ones((length, 3), dtype=bool), 0, length))


def keeps(tokens):
    """(n,) bool, by looking."""
    rows = THREE.letter_index[tokens].tolist()
    pairs = [list(pairwise(row)) for row in rows]
    return torch.tensor([
        (1, 2) not in pair and (0, 0) not in pair and 2 in row and row.count(1) <= 2
        for row, pair in zip(rows, pairs, strict=True)
    ])  # fmt: skip


def given_the_rules(world, log_probs=None):
    """A language without what breaks the rules."""
    log_probs = world.log_probs if log_probs is None else log_probs
    log_probs = torch.where(keeps(world.sequences), log_probs, -torch.inf).log_softmax(0)
    return SimpleNamespace(vocab=world.vocab, sequences=world.sequences, log_probs=log_probs)


def p_value(world, tokens):
    """P(a G statistic as large | drawn from the language), all of whose sequences are expected several times."""
    assert keeps(tokens).all()
    possible = world.log_probs > -torch.inf
    found, expected = counts(world, tokens)[possible], world.log_probs[possible].exp() * len(tokens)
    assert (expected > 5).all()
    return float(chi2.sf(2 * torch.special.xlogy(found, found / expected).sum().item(), len(found) - 1))


class Quick:
    """Random numbers for very many rows, as if each had a stream of its own."""

    def __init__(self, seed=0):
        self.generator = np.random.default_rng(seed)

    def random(self, n):
        return self.generator.random(n)


def states(sampler, denoiser, n, *, start=None, rules_of=None, schedule=None, seed=0):
    lattices = Lattices([rules_of or lattice()] * n, 3)
    constrained = Constrained(denoiser, lattices, THREE, [Quick(seed)] * n, sharpen=sampler.sharpen)
    tokens = (torch.full((4,), THREE.mask) if start is None else start).expand(n, 4)
    schedule = schedule or LogLinear(eps=0.0)
    yield from sampler.sample(constrained, Batch(tokens), schedule, THREE, uniforms=uniforms(n, seed))


def final(*args, **kwargs):
    return list(states(*args, **kwargs))[-1].tokens


def independent(world):
    """The language of the same letters, position by position, without what ties them together."""
    denoiser, masks = TableDenoiser(world), torch.full((1, 4), THREE.mask)
    marginals = denoiser(Batch(masks), masks == THREE.mask)  # (4, 3)
    letters = THREE.letter_index[world.sequences]
    return ExactNetwork(THREE, world.sequences, marginals.gather(1, letters.T).sum(0))


def test_one_step_has_exactly_the_law_of_independent_letters_given_the_rules():
    drawn = final(Ancestral(steps=1), TableDenoiser(CHAIN), N)
    expected = given_the_rules(independent(CHAIN))
    assert p_value(expected, drawn) > 1e-3
    assert distance(expected, drawn).is_noise
    assert p_value(given_the_rules(CHAIN), drawn) < 1e-6  # what the letters tell of each other is not in it


def skewed(world):
    """The same language, its likely sequences likelier yet."""
    return ExactNetwork(THREE, world.sequences, (1.5 * world.log_probs).log_softmax(0))


@pytest.mark.parametrize("sampler", [Ancestral(steps=3), FirstHitting(), ReMDM(steps=4, eta=0.5)], ids=repr)
def test_where_letters_are_independent_any_number_of_steps_has_the_law_of_the_language_given_the_rules(sampler):
    world = skewed(independent(TIED))
    drawn = final(sampler, TableDenoiser(world), N)
    assert p_value(given_the_rules(world), drawn) > 1e-3
    assert distance(given_the_rules(world), drawn).is_noise


def test_letters_that_hide_at_other_rates_keep_that_law():
    world = skewed(independent(TIED))
    drawn = final(Ancestral(steps=3), TableDenoiser(world), N, schedule=Learned().build(THREE))
    assert p_value(given_the_rules(world), drawn) > 1e-3


def test_elsewhere_it_is_near_the_language_given_the_rules_and_nearer_than_independent_letters_are():
    found = {steps: distance(given_the_rules(TIED), final(sampler, TableDenoiser(TIED), N)).excess
             for steps, sampler in (("one", Ancestral(steps=1)), ("each", FirstHitting()))}  # fmt: skip
    assert found == pytest.approx({"one": 0.382, "each": 0.139}, abs=0.03)  # by enumeration


def deviations(drawn, weights, plain):
    """(81,): how many standard errors the weighted shares of sequences are from those of another sample."""
    is_it = (drawn[:, None] == TIED.sequences).all(-1).double()  # (n, 81)
    expected = (plain[:, None] == TIED.sequences).all(-1).double().mean(0)
    weights = weights / weights.mean()
    variance = (weights[:, None] * (is_it - expected)).square().mean(0) / len(drawn)
    variance += expected * (1 - expected) / len(plain)
    return ((weights @ is_it / len(drawn) - expected) / variance.sqrt())[expected > 0]


@pytest.mark.parametrize("sampler", [FirstHitting(), Ancestral(steps=2)], ids=repr)
def test_weighed_by_importance_it_is_the_law_of_the_sampler_given_the_rules(sampler):
    denoiser = TableDenoiser(TIED)
    constrained = Constrained(denoiser, Lattices([lattice()] * N, 3), THREE, [Quick()] * N, weigh=True)
    masks = Batch(torch.full((N, 4), THREE.mask))
    drawn = list(sampler.sample(constrained, masks, LogLinear(eps=0.0), THREE, uniforms=uniforms(N)))[-1].tokens
    weights = constrained.log_importance.exp()
    plain = draw(sampler, TIED, 20 * N, seed=1)
    kept = keeps(plain)
    assert deviations(drawn, weights, plain[kept]).abs().max() < 4
    assert deviations(drawn, torch.ones(N).double(), plain[kept]).abs().max() > 5
    look_ahead = independent(TIED).log_probs[keeps(TIED.sequences)].exp().sum()
    ratio = kept.double().mean() / look_ahead
    assert abs(weights.mean() - ratio) < 4 * weights.std() / N**0.5 + 0.01


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_every_rule_is_kept_and_nothing_that_is_given_changes(sampler):
    start = torch.tensor([THREE.mask, THREE.letters[2], THREE.mask, THREE.mask])
    found = list(
        states(sampler, TableDenoiser(CHAIN), 300, start=start, rules_of=lattice(letters=[FREE, 2, FREE, FREE]))
    )
    assert keeps(found[-1].tokens).all()
    assert all((state.tokens[:, 1] == THREE.letters[2]).all() for state in found)
    assert keeps(final(sampler, TableDenoiser(CHAIN), 300)).all()


def test_letters_that_the_model_rules_out_are_drawn_only_where_nothing_else_keeps_the_rules():
    weights = torch.tensor([[0.0, RULED_OUT, RULED_OUT]], dtype=torch.float64).expand(4, 3)[None]
    one = Lattices([lattice()], 3)
    letters = one.draw(weights, one.log_chances(weights), torch.full((1, 4), 0.3, dtype=torch.float64))[0].tolist()
    assert letters.count(0) == 2  # aa is forbidden, a c is needed
    assert 2 in letters


def test_rows_of_several_lattices_are_drawn_as_each_by_itself():
    generator = torch.Generator().manual_seed(0)
    rows = [lattice(), lattice(letters=[FREE, 1, 0, 2]), lattice(6, RULES[:1]), lattice(letters=[0, 1, 0, 2])]
    weights = torch.randn(len(rows), 6, 3, generator=generator, dtype=torch.float64)
    numbers = torch.rand(len(rows), 6, generator=generator, dtype=torch.float64)
    side_by_side = Lattices(rows, 3)
    together = side_by_side.draw(weights, chances := side_by_side.log_chances(weights), numbers)
    for row, one in enumerate(rows):
        k = len(one.layers)
        alone, its = Lattices([one], 3), weights[row : row + 1, :k]
        drawn = alone.draw(its, own := alone.log_chances(its), numbers[row : row + 1, :k])
        assert torch.equal(drawn[0], together[row, :k])
        extra = weights[row, k:, 0].sum()  # a finished row stays by the first letter
        assert torch.isclose(own[0][0] + extra, chances[0][row])


def test_the_chance_of_the_rules_is_the_sum_over_what_keeps_them():
    world = independent(CHAIN)
    weights = TableDenoiser(world)(Batch(masks := torch.full((1, 4), THREE.mask)), masks == THREE.mask)[None]
    expected = world.log_probs[keeps(world.sequences)].logsumexp(0)
    assert torch.isclose(Lattices([lattice()], 3).log_chances(weights)[0][0], expected)


@pytest.mark.parametrize(
    "sampler", [Ordered(), EntropyBounded(), PathPlanning(), ReMDM(remask="conf"), Analytic()], ids=repr
)
def test_samplers_that_look_at_how_sure_letters_are_are_refused(sampler):
    with pytest.raises(InputError, match=rf"sampler.kind: {sampler.kind} cannot keep constraints; choose ancestral"):
        check_sampler(sampler)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=repr)
def test_the_others_are_not_but_what_hides_letters_again_cannot_be_weighed(sampler):
    check_sampler(sampler)
    if isinstance(sampler, ReMDM):
        with pytest.raises(
            InputError, match="candidates: remdm hides letters again; choose ancestral or first_hitting"
        ):
            check_sampler(sampler, weigh=True)
    else:
        check_sampler(sampler, weigh=True)
