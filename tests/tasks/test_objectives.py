"""Objectives that are no masked diffusion, through every verb: what is printed says what it is."""

import json
import re

import pytest

from dnadiff.config import decode, resolve
from dnadiff.diffusion.objectives import AR, MLM
from dnadiff.errors import InputError
from dnadiff.models import Caduceus, Mamba
from dnadiff.run import RunFolder
from dnadiff.tasks import evaluate, sample, train
from dnadiff.tasks.settings import TrainConfig
from dnadiff.training.metrics import curve, read_metrics

SIZES = {"width": 8, "n_layers": 1, "n_states": 2}


@pytest.fixture(scope="module")
def ar_run(settings, tmp_path_factory):
    changes = {"model": Mamba(**SIZES), "objective": AR()}
    return train.run(settings.model_copy(update=changes), tmp_path_factory.mktemp("runs") / "ar")


@pytest.fixture(scope="module")
def mlm_run(settings, tmp_path_factory):
    changes = {"model": Caduceus(**SIZES), "objective": MLM()}
    return train.run(settings.model_copy(update=changes), tmp_path_factory.mktemp("runs") / "mlm")


def test_an_autoregressive_run_has_an_exact_figure_from_one_sweep(ar_run, capsys):
    results = json.loads((ar_run / "results.json").read_text())
    assert results["n_sweeps"] == 1
    assert results["monte_carlo_half_width_nats"] == 0
    evaluate.run(evaluate.settings_of(ar_run, [], {}), ar_run)
    printed = capsys.readouterr().out
    assert re.search(rf"bits per base += +{results['bits_per_base']['value']:.4f}", printed)
    assert "<=" not in printed


def test_an_autoregressive_run_samples_letter_by_letter(ar_run):
    header, bases = (ar_run / "samples.fa").read_text().splitlines()[:2]
    assert "sampler=ar temperature=1.0" in header
    assert set(bases) <= set("ACGT")
    with pytest.raises(InputError, match="ancestral draws from a PosteriorDenoiser, the objective gives a NextToken"):
        sample.run(sample.settings_of(ar_run, ["sampler.kind=ancestral"], {"n": 1}), ar_run, "-")


def test_a_run_of_masked_language_modelling_calls_nothing_bits_per_base(mlm_run, capsys):
    log = (mlm_run / "log.txt").read_text()
    assert "nats per predicted base" in log
    assert "bits/base" not in log
    rows = read_metrics(mlm_run / "metrics.csv")
    assert not [name for name in rows[0] if "bits" in name]
    results = json.loads((mlm_run / "results.json").read_text())
    assert not {"nats_per_base", "bits_per_base", "perplexity"} & results.keys()
    assert results["pseudo-bits_per_base"]["value"] == pytest.approx(2.0, abs=0.3)
    evaluate.run(evaluate.settings_of(mlm_run, [], {}), mlm_run)
    assert "no bound on -log p" in capsys.readouterr().out


def test_the_best_checkpoint_of_masked_language_modelling_is_that_of_the_lowest_loss(mlm_run):
    losses = curve(read_metrics(mlm_run / "metrics.csv"), "valid_loss")
    manifest = json.loads((RunFolder(mlm_run).best() / "manifest.json").read_text())
    assert manifest["valid_loss"] == min(loss for _, loss in losses)
    assert manifest["valid_loss"] == pytest.approx(1.386, abs=0.2)


def test_a_sampler_that_does_not_fit_is_a_configuration_error():
    with pytest.raises(InputError, match=r"sample\.sampler\.kind: ar draws from a NextToken.*choose auto"):
        resolve(TrainConfig, "dna/toy", ["sample.sampler.kind=ar"])


@pytest.mark.parametrize(
    "words", [["objective.kind=ar", "model.kind=mamba"], ["objective.kind=mlm"], ["objective.kind=plaid"]]
)
def test_a_schedule_without_a_part_is_refused(words):
    with pytest.raises(InputError, match="does not use a masking schedule; leave schedule"):
        resolve(TrainConfig, "dna/toy", [*words, "schedule.kind=cosine"])


def test_the_sampler_suits_the_objective_where_none_is_named():
    settings = resolve(TrainConfig, "dna/toy", ["objective.kind=ar", "model.kind=mamba"])
    assert settings.objective.sampler(settings.sample.sampler).n_steps(100) == 100
    settings = decode(TrainConfig, {"sample": {"sampler": {"kind": "auto", "steps": 7}}}, where="here")
    assert settings.objective.sampler(settings.sample.sampler).n_steps(100) == 7
