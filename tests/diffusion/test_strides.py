"""Long rows in strides: exact for a language whose memory the overlap covers, and worse the less of it is covered."""

import pytest
import torch
from laws import THREE, HiddenMarkov, TableDenoiser, bias, counts, distance, g_test
from worlds import MarkovChain, uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.samplers import Ancestral, EntropyBounded, FirstHitting
from dnadiff.diffusion.samplers.strides import Strides
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.diffusion.uniforms import RowUniforms

N, CONTEXT, LENGTH = 100_000, 4, 6
LONG = MarkovChain(LENGTH, THREE)
SHORT = MarkovChain(CONTEXT, THREE)
"""The same chain, so that a window whose first letter is known has the law of that part of a long row."""


def in_strides(stride, world=SHORT, n=N, length=LENGTH, sampler=None, start=None):
    tokens = (torch.full((length,), THREE.mask) if start is None else start).expand(n, length)
    strides = Strides(sampler or FirstHitting(), CONTEXT, stride)
    states = list(strides.sample(TableDenoiser(world), Batch(tokens), LogLinear(eps=0.0), THREE, uniforms=uniforms(n)))
    assert len(states) <= strides.n_steps(length)
    return states[-1].tokens


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_chain_is_drawn_exactly_as_long_as_windows_overlap(stride):
    drawn = in_strides(stride)
    assert g_test(LONG, drawn) > 1e-3
    assert distance(LONG, drawn).is_noise


def test_windows_that_do_not_overlap_forget():
    tokens, strides = torch.full((N, LENGTH), THREE.mask), Strides(FirstHitting(), 3, 3)
    denoiser = TableDenoiser(MarkovChain(3, THREE))
    states = strides.sample(denoiser, Batch(tokens), LogLinear(), THREE, uniforms=uniforms(N))
    drawn = list(states)[-1].tokens
    assert g_test(LONG, drawn) < 1e-9
    assert bias(LONG, drawn) > 0.1


def test_a_longer_memory_is_lost_the_more_the_less_windows_overlap():
    world, truth = HiddenMarkov(CONTEXT), HiddenMarkov(LENGTH)
    long, short = (bias(truth, in_strides(stride, world)) for stride in (1, 2))
    assert 0.02 < long < short


def test_letters_that_are_given_are_seen_on_both_sides_and_stay():
    start = torch.full((LENGTH,), THREE.mask).index_fill(0, torch.tensor([3]), THREE.letters[2])
    fits = LONG.sequences[:, 3] == start[3]
    drawn = in_strides(1, start=start)
    expected = LONG.log_probs[fits].softmax(0)
    shares = counts(LONG, drawn)[fits] / N
    assert shares.sum() == 1
    assert ((shares - expected).abs() < 5 * (expected / N).sqrt()).all()


@pytest.mark.parametrize("length", [1, 3, 4])
def test_a_row_that_fits_is_drawn_by_the_sampler_itself(length):
    world, n = MarkovChain(length, THREE), 1000
    tokens = torch.full((n, length), THREE.mask)
    own = RowUniforms(3, range(n))
    strides = Strides(Ancestral(steps=5), CONTEXT, 2)
    states = strides.sample(TableDenoiser(world), Batch(tokens), LogLinear(), THREE, uniforms=own)
    expected = Ancestral(steps=5).sample(
        TableDenoiser(world), Batch(tokens), LogLinear(), THREE, uniforms=own.branch(0)
    )
    assert all(torch.equal(a.tokens, b.tokens) for a, b in zip(states, expected, strict=True))


@pytest.mark.parametrize(("length", "starts"), [(3, [0]), (4, [0]), (5, [0, 1]), (8, [0, 2, 4]), (9, [0, 2, 4, 5])])
def test_windows_cover_the_row_and_end_where_it_ends(length, starts):
    assert Strides(FirstHitting(), CONTEXT, 2).starts(length) == starts


def test_the_published_protocol_has_three_windows():
    assert Strides(Ancestral(), 1024, 512).starts(2048) == [0, 512, 1024]


def test_a_row_does_not_depend_on_how_soon_its_neighbours_are_full():
    """Entropy-bounded rows need different numbers of steps."""

    def drawn(rows):
        tokens = torch.full((len(rows), 12), THREE.mask)
        strides = Strides(EntropyBounded(bound=1.02), CONTEXT, 2)
        states = strides.sample(TableDenoiser(SHORT), Batch(tokens), LogLinear(), THREE, uniforms=RowUniforms(0, rows))
        return list(states)[-1].tokens

    together = drawn(range(12))
    assert torch.equal(torch.cat([drawn([row]) for row in range(12)]), together)


def test_branches_are_new_numbers_that_do_not_depend_on_what_was_read():
    trunk = RowUniforms(0, [3, 5])
    first = trunk.branch(1)(4)
    trunk(7)
    assert torch.equal(trunk.branch(1)(4), first)
    others = [trunk.branch(2)(4), trunk.branch(1).branch(1)(4), RowUniforms(0, [3, 5])(4)]
    assert all(not torch.isclose(other, first).any() for other in others)
