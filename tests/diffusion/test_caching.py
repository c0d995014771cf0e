import pytest
import torch
from laws import THREE, WORLDS, TableDenoiser
from worlds import uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion.caching import Cached
from dnadiff.diffusion.guidance import ClassifierFree
from dnadiff.diffusion.samplers import Ancestral, EntropyBounded, FirstHitting, Ordered, PathPlanning, ReMDM
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.errors import InputError

SAMPLERS = [
    Ancestral(steps=20), FirstHitting(), Ordered(steps=20), EntropyBounded(bound=1.02), PathPlanning(steps=20),
    ReMDM(steps=20, eta=0.5),
]  # fmt: skip
ROWS, LENGTH = 50, 4


def run(sampler, denoiser, start):
    states = sampler.sample(denoiser, Batch(start), LogLinear(), THREE, uniforms=uniforms(ROWS))
    return [state.tokens for state in states]


class Watched(TableDenoiser):
    """Counts the rows that it is run on."""

    rows = 0

    def __call__(self, batch, wanted, t=None):
        self.rows += len(wanted)
        return super().__call__(batch, wanted, t)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.kind)
@pytest.mark.parametrize("n_given", [0, 30, ROWS])
def test_a_cached_denoiser_gives_the_same_states_for_fewer_rows(sampler, n_given):
    start = torch.full((ROWS, LENGTH), THREE.mask)
    start[:n_given] = WORLDS[0].sequences[:n_given]
    plain, spared = Watched(WORLDS[0]), Watched(WORLDS[0])
    cached = Cached(spared)
    expected, found = run(sampler, plain, start), run(sampler, cached, start)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert cached.n_rows == spared.rows <= plain.rows
    if n_given == 30:
        assert spared.rows < 0.8 * plain.rows


class Told:
    """One language for rows that have a class, another for those without."""

    time_conditioned = False

    def __init__(self):
        self.told, self.untold = (TableDenoiser(world) for world in WORLDS[:2])

    def __call__(self, batch, wanted, t=None):
        return (self.untold if batch.label is None else self.told)(batch, wanted, t)


def test_a_guided_denoiser_whose_answers_have_several_parts_is_cached_as_well():
    cached, plain = Cached(ClassifierFree(Told(), 2.0)), ClassifierFree(Told(), 2.0)
    masks = torch.full((3, LENGTH), THREE.mask)
    one_known = torch.where(torch.arange(3)[:, None] == 1, THREE.letters[2], masks)
    for tokens, n_rows in ((masks, 3), (one_known, 4), (masks, 5)):
        batch = Batch(tokens, label=torch.zeros(3, dtype=torch.int64))
        assert torch.equal(cached(batch, masks == THREE.mask), plain(batch, masks == THREE.mask))
        assert cached.n_rows == n_rows


def test_a_row_that_is_asked_again_is_not_run_again_until_it_or_the_question_changes():
    cached, plain = Cached(TableDenoiser(WORLDS[0])), TableDenoiser(WORLDS[0])
    masks = torch.full((3, LENGTH), THREE.mask)
    one_known = torch.where(torch.arange(3)[:, None] == 1, THREE.letters[2], masks)
    all_of, fewer = masks == THREE.mask, masks == THREE.mask
    fewer[2, 0] = False
    questions = [(masks, all_of, 3), (masks.clone(), all_of.clone(), 3), (one_known, all_of, 4), (one_known, fewer, 5)]
    for tokens, wanted, n_rows in questions:
        assert torch.equal(cached(Batch(tokens), wanted), plain(Batch(tokens), wanted))
        assert cached.n_rows == n_rows


def test_networks_that_are_told_the_time_are_refused():
    denoiser = TableDenoiser(WORLDS[0])
    denoiser.time_conditioned = True
    with pytest.raises(InputError, match="told the time cannot be cached; sample from it without a cache"):
        Cached(denoiser)
