"""Plaid, whose objective has parameters of its own, through every verb."""

import json

import pytest
import torch

import dnadiff
from dnadiff.checkpoint import WEIGHTS, load, read_tensors
from dnadiff.config import resolve
from dnadiff.diffusion.objectives import Plaid
from dnadiff.errors import InputError
from dnadiff.run import RunFolder
from dnadiff.tasks import evaluate, sample, train
from dnadiff.tasks.settings import TrainConfig
from dnadiff.training.checkpoint_io import RAW
from dnadiff.vocab import DNA


@pytest.fixture(scope="module")
def changed(settings):
    optim = settings.optim.model_copy(update={"ema": 0.5})
    return settings.model_copy(update={"objective": Plaid(embedding_width=4), "optim": optim})


@pytest.fixture(scope="module")
def run(changed, tmp_path_factory):
    return train.run(changed, tmp_path_factory.mktemp("runs") / "plaid")


def test_the_figure_is_a_bound_and_samples_come_from_its_own_sampler(run, capsys):
    evaluate.run(evaluate.settings_of(run, [], {}), run)
    figure = json.loads((run / "results.json").read_text())["bits_per_base"]["value"]
    assert f"bits per base <= {figure:.4f}" in capsys.readouterr().out
    header, bases = (run / "samples.fa").read_text().splitlines()[:2]
    assert "sampler=plaid temperature=1.0 steps=4 seed=0" in header
    assert set(bases) <= set("ACGT")


def test_embeddings_and_schedule_are_trained_averaged_and_saved(run, changed):
    last, untrained = RunFolder(run).newest(), train.build(changed, DNA).objective.state_dict()
    averaged, current = (read_tensors(last / name) for name in (WEIGHTS, RAW))
    for name, loaded in load(last).objective.state_dict().items():
        assert torch.equal(loaded, averaged[f"objective.{name}"])
        assert not torch.equal(loaded, current[f"objective.{name}"])
        assert not torch.equal(loaded, untrained[name])


def test_a_notebook_draws_and_scores(run):
    model = dnadiff.load(run)
    assert model.sample(2, length=9, seed=1, steps=2) == model.sample(2, length=9, seed=1, steps=2)
    assert model.bits_per_base(["ACGTN", "ACGTACGTAC"]).n_scored == 14


def test_what_does_not_fit_is_a_configuration_error(run):
    with pytest.raises(InputError, match=r"sampler\.kind: ancestral draws from a PosteriorDenoiser.*choose auto"):
        resolve(TrainConfig, "dna/toy", ["objective.kind=plaid", "sample.sampler.kind=ancestral"])
    with pytest.raises(InputError, match="objective Plaid does not use a masking schedule; leave schedule"):
        resolve(TrainConfig, "dna/toy", ["objective.kind=plaid", "schedule.kind=cosine"])
    with pytest.raises(InputError, match="ancestral draws from a PosteriorDenoiser, the objective gives a Continuous"):
        sample.run(sample.settings_of(run, ["sampler.kind=ancestral"], {"n": 1}), run, "-")
