import io
import json
import math
import shutil
from functools import reduce

import pytest
from Bio import SeqIO

from dnadiff import config
from dnadiff.checkpoint import read_tensors
from dnadiff.errors import InputError
from dnadiff.run import RunFolder
from dnadiff.tasks import train
from dnadiff.tasks.settings import TrainConfig
from dnadiff.training.metrics import read_metrics
from dnadiff.vocab import DNA


def test_a_run_folder_holds_what_is_promised(run, settings):
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "manifest.json", "metrics.csv", "results.json", "samples.fa", "plots", "log.txt"} <= names
    assert sorted(path.name for path in (run / "plots").iterdir()) == ["kmers.png", "training.png"]
    assert config.read(TrainConfig, run / "config.yaml") == settings
    assert len(read_metrics(run / "metrics.csv")) == 4
    assert "step 4/4" in (run / "log.txt").read_text()


def test_the_manifest_says_what_was_done_and_on_what(run):
    manifest = json.loads((run / "manifest.json").read_text())
    assert {"command", "versions", "machine", "seed", "data", "parameters", "assumptions", "splits"} <= manifest.keys()
    assert {"python", "torch", "lightning", "dnadiff"} <= manifest["versions"].keys()
    assert {row["split"] for row in manifest["splits"]} == {"train", "valid", "test"}


def test_results_agree_with_themselves(run):
    results = json.loads((run / "results.json").read_text())
    bits, perplexity = results["bits_per_base"], results["perplexity"]
    assert bits["low"] < bits["value"] < bits["high"]
    assert perplexity["value"] == pytest.approx(2 ** bits["value"])
    assert len(results["markov"]) == 3
    assert results["markov"][0] == pytest.approx(-2 * (0.35 * math.log2(0.35) + 0.15 * math.log2(0.15)), abs=0.05)
    assert results["n_windows"] == 8


def test_samples_are_dna_that_biopython_reads(run):
    records = list(SeqIO.parse(io.StringIO((run / "samples.fa").read_text()), "fasta"))
    assert [len(record) for record in records] == [64] * 3
    assert set("".join(str(record.seq) for record in records)) <= set("ACGT")
    assert "sampler=ancestral temperature=1.0 steps=4" in records[0].description
    assert "seed=0" in records[0].description


def test_the_same_command_again_changes_no_weight(run, settings):
    weights = RunFolder(run).newest() / "weights.safetensors"
    before = weights.read_bytes()
    train.run(settings, run)
    assert weights.read_bytes() == before


def changed(settings, part, **values):
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update=values)})


@pytest.mark.case(15)
def test_other_settings_in_the_same_folder_are_refused(run, settings):
    with pytest.raises(InputError, match=r"other settings \(optim\.lr was 0\.004, is 0\.5\)"):
        train.run(changed(settings, "optim", lr=0.5), run)
    with pytest.raises(
        InputError, match=r"other settings \(model\.width was 8, is 16\); choose another --out or remove"
    ):
        train.run(changed(settings, "model", width=16), run, force=True)


@pytest.mark.case(15)
def test_settings_that_are_safe_are_changed_by_force_alone(run, settings, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    other = changed(settings, "train", workers=1)
    with pytest.raises(InputError, match=r"\(train\.workers was 0, is 1\); choose another --out, or --force"):
        train.run(other, copy)
    train.run(other, copy, force=True)
    assert config.read(TrainConfig, copy / "config.yaml") == other


def test_what_is_safe_is_a_setting(settings):
    for name in train.SAFE:
        assert reduce(getattr, name.split("."), settings) is not settings


@pytest.mark.case(15)
def test_data_that_changed_are_refused_and_how_they_did_is_said(run, settings, genome, tmp_path):
    copy, fasta = shutil.copytree(run, tmp_path / "run"), tmp_path / "small.fa"
    fasta.write_text(genome.read_text() + ">chrD\n" + 200 * "A" + "\n")
    other = changed(settings, "data", ref=str(fasta))
    (copy / "config.yaml").write_text(config.to_yaml(other))
    with pytest.raises(
        InputError, match=r"other data \(.*bases was 9,000, is 9,200, contigs was 3, is 4, .*fingerprint"
    ):
        train.run(other, copy, force=True)


@pytest.mark.case(7)
def test_a_place_that_cannot_be_a_run_folder_is_refused_before_a_step(settings, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be a run folder .*choose another --out"):
        train.run(settings, tmp_path / "file")


def test_starting_from_a_run_takes_its_weights(run, settings):
    model = train.build(settings.model_copy(update={"init": str(run)}), DNA)
    saved = read_tensors(RunFolder(run).best() / "weights.safetensors")
    assert all((model.state_dict()[name] == tensor).all() for name, tensor in saved.items())


def test_starting_from_a_model_of_another_shape_is_refused(run, settings):
    wider = settings.model.model_copy(update={"width": 16})
    with pytest.raises(InputError, match=r": model\.width was 8, is 16; leave model\.\* out"):
        train.build(settings.model_copy(update={"init": str(run), "model": wider}), DNA)


def test_a_dry_run_counts_and_writes_nothing(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = train.dry_run(settings)
    assert plan["windows"] == {"train": 93, "valid": 23, "test": 23}
    assert plan["parameters"] > 0
    assert plan["bases_per_step"] == 128
    assert plan["time_of_training_on_this_cpu"].startswith("0:00:0")
    assert 0 <= plan["memory_mib"] < 2000
    assert not list(tmp_path.iterdir())


def test_a_set_that_is_seen_very_often_is_warned_of(settings, caplog):
    train.dry_run(settings)
    assert "learned by heart" not in caplog.text
    often = settings.train.model_copy(update={"max_steps": 93_000})
    assert train.dry_run(settings.model_copy(update={"train": often}))["epochs"] == 2000
    assert "each of the 93 training windows is seen 2,000 times, and learned by heart" in caplog.text


def test_without_a_test_split_the_mistake_is_named(settings):
    split = settings.data.split.model_copy(update={"test": ()})
    data = settings.data.model_copy(update={"split": split})
    with pytest.raises(InputError, match="no window in test; look at `dnadiff windows`"):
        train.dry_run(settings.model_copy(update={"data": data}))
