"""With many letters nothing holds a number for every letter of every position: no loss, no sampler, no likelihood."""

import pytest
import torch
from watching import Largest
from worlds import uniforms

from dnadiff.batch import Batch
from dnadiff.diffusion import answers, likelihood
from dnadiff.diffusion.caching import Cached
from dnadiff.diffusion.estimators import Numbers
from dnadiff.diffusion.learned_schedule import Learned
from dnadiff.diffusion.noise import draw_noise
from dnadiff.diffusion.objectives import AR, D3PM, MD4, MDLM, MLM, SEDD, GenMD4, Plaid
from dnadiff.diffusion.samplers import (
    Analytic,
    Ancestral,
    Autoregressive,
    EntropyBounded,
    FirstHitting,
    Ordered,
    PathPlanning,
    PlaidSampler,
    ReMDM,
)  # fmt: skip
from dnadiff.inference.measures import likelihood as likelihood_of
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import DiT
from dnadiff.rng import Stream, numpy_generator
from dnadiff.vocab import Vocab

SIZE, ROWS, LENGTH, WIDTH = 5000, 3, 10, 4
VOCAB = Vocab(
    tokens=tuple(map(str, range(SIZE))), size=SIZE, letters=tuple(range(3, SIZE)), mask=1, pad=0, unknown=2
)  # fmt: skip
PART = 3 * SIZE  # logits at a time
MOST = WIDTH * SIZE  # the head's weights; Plaid's embeddings, copied for each row, are fewer
OBJECTIVES = [MDLM(), MDLM(T=5), MD4(), GenMD4(), D3PM(), SEDD(), AR(), MLM(chosen=0.9), Plaid(embedding_width=1)]
SAMPLERS = [
    (MDLM(), Ancestral(steps=1)), (MDLM(), Ancestral(steps=2, top_k=3, top_p=0.5)), (MDLM(), EntropyBounded()),
    (MDLM(), FirstHitting()), (MDLM(), Ordered(steps=2)), (MDLM(), Ordered(steps=2, order="margin")),
    (MDLM(), PathPlanning(steps=2)), (MDLM(), ReMDM(steps=2, remask="conf")), (GenMD4(), Ancestral(steps=2)),
    (D3PM(), Ancestral(steps=2)), (SEDD(), Analytic(steps=2)), (SEDD(), Ancestral(steps=2)), (AR(), Autoregressive()),
    (Plaid(embedding_width=1), PlaidSampler(steps=2)),
]  # fmt: skip
named = {"ids": lambda value: getattr(value, "kind", None)}


@pytest.fixture(autouse=True)
def _in_small_parts(monkeypatch):
    monkeypatch.setattr(answers, "CHUNK", PART)


def model_of(objective):
    schedule = {"schedule": Learned()} if isinstance(objective, GenMD4) else {}
    backbone = DiT(width=WIDTH, n_blocks=1, n_heads=2, conditioning="none", causal=isinstance(objective, AR))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DiffusionModel(ModelConfig(model=backbone, objective=objective, **schedule), VOCAB)


def rows():
    generator = torch.Generator().manual_seed(0)
    return Batch(VOCAB.letter_ids[torch.randint(VOCAB.n_letters, (ROWS, LENGTH), generator=generator)])


def noise_for(model):
    return draw_noise(numpy_generator(0, Stream.NOISE), ROWS, LENGTH, n_uniforms=model.objective.n_uniforms)


@pytest.mark.parametrize("objective", OBJECTIVES, **named)
def test_a_training_step(objective):
    model, batch = model_of(objective), rows()
    with Largest() as seen:
        terms = model.loss(batch, noise_for(model))
        (terms.nats if terms.surrogate is None else terms.surrogate).sum().backward()
    assert terms.nats.sum() > 0
    assert seen.numel <= MOST


@pytest.mark.parametrize("objective", OBJECTIVES, **named)
def test_an_evaluation(objective):
    model, batch = model_of(objective), rows()
    measure = likelihood_of(model)
    with Largest() as seen:
        assert (measure.draw(batch, noise_for(model)) > 0).all()
    assert seen.numel <= MOST


@pytest.mark.parametrize(("objective", "sampler"), SAMPLERS, **named)
def test_a_sampler(objective, sampler):
    model = model_of(objective).eval()
    check_sampler(model, model.denoiser(), sampler)


@pytest.mark.parametrize("sampler", [Ordered(steps=3), PathPlanning(steps=3)], **named)
def test_a_sampler_with_a_cache(sampler):
    model = model_of(MDLM()).eval()
    check_sampler(model, Cached(model.denoiser()), sampler)


def check_sampler(model, denoiser, sampler):
    state = Batch(torch.full((ROWS, LENGTH), VOCAB.mask))
    with Largest() as seen:
        *_, last = sampler.sample(denoiser, state, model.schedule, VOCAB, uniforms=uniforms(ROWS))
    assert VOCAB.is_letter(last.tokens).all()
    assert seen.numel <= MOST


def test_the_likelihood_of_a_sequence():
    model, tokens, positions = model_of(MDLM()), rows().tokens[0], torch.arange(LENGTH)
    with Largest() as seen:
        likelihood.pseudo(model.denoiser(), tokens, positions, VOCAB)
        noise = draw_noise(numpy_generator(0, Stream.EVALUATE), ROWS, LENGTH)
        likelihood.bound(model.denoiser(), tokens, positions, VOCAB, estimator=Numbers(), noise=noise)
    assert seen.numel <= MOST


def test_it_would_be_seen():
    model, batch = model_of(MDLM()), rows()
    with Largest() as seen:
        model.denoiser()(batch, torch.ones_like(batch.tokens, dtype=torch.bool))
    assert seen.numel == ROWS * LENGTH * SIZE
