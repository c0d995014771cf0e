"""What is put around a model's samplers: classes, guidance, strides, particles, counting; and bf16 weights."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch

from dnadiff import dna
from dnadiff.diffusion.guidance import ClassifierFree, Guided
from dnadiff.diffusion.objectives import AR, MDLM, SEDD, Plaid
from dnadiff.diffusion.samplers import Ancestral, Auto, EntropyBounded, FirstHitting
from dnadiff.diffusion.samplers.particles import SMC, SVDD
from dnadiff.errors import InputError
from dnadiff.inference.counted import Counted
from dnadiff.inference.sample import Wanted, sample
from dnadiff.inference.steer import factor_of, reward_of
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, Mamba
from dnadiff.vocab import DNA


def small(objective=None, scale=0.3, **settings):
    """Every parameter moved from where it starts, so that classes and neighbours count."""
    objective = objective or MDLM()
    backbone = (Mamba if isinstance(objective, AR) else Caduceus)(width=8, n_layers=1, n_states=2, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = DiffusionModel(ModelConfig(model=backbone, objective=objective), DNA).double().eval()
        for parameter in model.parameters():
            parameter.data += scale * torch.randn_like(parameter)
    return model


LABELLED = small(labels=("enhancer", "promoter"))
GC = reward_of(lambda sequences: [(s.count("G") + s.count("C")) / len(s) for s in sequences])


def gc_content(tokens):
    return np.isin(tokens, [8, 9]).mean()


AROUND = {
    "strides": {"around": Wanted(context=5, stride=3).around, "sampler": EntropyBounded(bound=4.0)},
    "smc": {"around": partial(SMC, reward=GC, number=3)},
    "svdd": {"around": partial(SVDD, reward=GC, number=3)},
    "guided": {"guide": partial(Guided, factor=factor_of(lambda rows: [s.count("G") for s in rows]), vocab=DNA)},
    "classifier-free": {"guide": Wanted(label="promoter", guidance=2.0).guide, "label": "promoter"},
}


@pytest.mark.parametrize("name", AROUND)
def test_neither_the_batch_size_nor_the_number_of_sequences_enters_what_is_drawn(name):
    settings = {"sampler": Ancestral(steps=5), "seed": 3, **AROUND[name]}
    drawn = sample(LABELLED, 6, 12, **settings)
    assert drawn.shape == (6, 12)
    assert set("".join(dna.decode(row) for row in drawn)) <= set("ACGT")
    assert np.array_equal(sample(LABELLED, 6, 12, batch_size=2, **settings), drawn)
    assert np.array_equal(sample(LABELLED, 3, 12, **settings), drawn[:3])


def test_a_class_and_its_strength_change_what_is_drawn():
    draws = [sample(LABELLED, 8, 12, FirstHitting(), label=label) for label in (None, "enhancer", "promoter")]
    strong = sample(LABELLED, 8, 12, FirstHitting(), label="promoter", guide=partial(ClassifierFree, strength=3.0))
    same = sample(LABELLED, 8, 12, FirstHitting(), label="promoter", guide=partial(ClassifierFree, strength=1.0))
    assert np.array_equal(same, draws[2])
    for first, second in itertools.combinations([*draws, strong], 2):
        assert not np.array_equal(first, second)


def test_steering_and_guidance_go_where_they_are_told():
    model = small(scale=0.1)
    plain = gc_content(sample(model, 16, 16, Ancestral(steps=8)))
    for method in (SMC, SVDD):
        around = partial(method, reward=GC, number=8, strength=60.0)
        assert gc_content(sample(model, 16, 16, Ancestral(steps=8), around=around)) > plain + 0.1
    guide = partial(Guided, factor=factor_of(lambda rows: [s.count("G") + s.count("C") for s in rows]), vocab=DNA)
    assert gc_content(sample(model, 16, 16, Ancestral(steps=8), guide=guide)) > plain + 0.1


@pytest.mark.parametrize("objective", [MDLM(), SEDD(), AR()], ids=lambda objective: objective.kind)
def test_strides_draw_any_length_from_a_short_view(objective):
    class Narrow(Counted):
        def features(self, embedded, *args, **kwargs):
            assert embedded.shape[1] <= 8
            return super().features(embedded, *args, **kwargs)

    model = small(objective)
    drawn = sample(model, 3, 21, Auto(steps=4), around=Wanted(context=8).around, network=Narrow(model.network))
    assert drawn.shape == (3, 21)
    assert set("".join(dna.decode(row) for row in drawn)) <= set("ACGT")


def test_runs_of_the_network_are_counted_and_a_row_is_never_run_more_often_than_it_has_positions():
    counted = Counted(LABELLED.network)
    sample(LABELLED, 5, 12, Ancestral(steps=500), batch_size=1, network=counted)
    assert counted.n_calls == counted.n_rows <= 5 * 12
    assert counted.dtype is torch.float64
    for model, sampler in ((small(conditioning="time"), FirstHitting()), (small(AR()), Auto())):
        counted = Counted(model.network)
        sample(model, 5, 12, sampler, network=counted)
        assert (counted.n_calls, counted.n_rows) == (12, 60)


def test_bf16_weights_give_the_composition_of_float32():
    """At 1,000 steps, where one-stage draws would leave little but the most common letter."""
    shares = []
    for dtype in (torch.float32, torch.bfloat16):
        tokens = sample(small().to(dtype), 16, 32, Ancestral(steps=1000), batch_size=16)
        shares.append(np.array([(tokens == letter).mean() for letter in DNA.letters]))
    noise = np.sqrt(2 * shares[0] * (1 - shares[0]) / tokens.size)
    assert max(shares[0]) > 0.3
    assert (np.abs(shares[0] - shares[1]) < 4 * noise + 1e-3).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sample(small(), 1, 4, Auto(), label="x"), r"label 'x': the model was trained without classes"),
        (
            lambda: sample(LABELLED, 1, 4, Auto(), label="promotor"),
            r"label 'promotor': the model knows enhancer, promoter \(did you mean 'promoter'",
        ),
        (
            lambda: sample(small(SEDD()), 1, 4, Auto(), guide=Wanted(label="promoter", guidance=2.0).guide),
            r"sampler.kind: analytic cannot be guided; choose ancestral",
        ),
        (
            lambda: sample(small(Plaid()), 1, 9, Auto(steps=2), around=Wanted(context=4).around),
            r"sampler plaid draws whole sequences and cannot fill gaps",
        ),
        (
            lambda: sample(LABELLED, 1, 4, Ancestral(steps=2), around=partial(SMC, reward=reward_of(lambda s: [1, 2]))),
            r"reward: gave \[1, 2\] for 16 sequences; return a number for each",
        ),
        (
            lambda: reward_of(lambda sequences: [float("nan")])(torch.tensor([DNA.letters])),
            r"reward: gave nan for 'ACGT'; return finite numbers",
        ),
        (lambda: reward_of(lambda sequences: None)(torch.tensor([DNA.letters])), r"reward: gave None for 1 sequences"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_line(call, message):
    with pytest.raises(InputError, match=message):
        call()
