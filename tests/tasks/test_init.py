"""Runs that start from published weights: by folder and from a hub, with what they started from on record."""

import json

import pytest
import torch
from loopback_hub import hub_here
from published_models import golden, write_folder
from safetensors.torch import load_file

from dnadiff import checkpoint
from dnadiff.errors import InputError
from dnadiff.files import sha256
from dnadiff.run import find_checkpoint
from dnadiff.tasks import train
from dnadiff.tasks.settings import TrainConfig, resolve

WORDS = [
    "data.length=64", "data.split.kind=chromosome", "data.split.valid=[chrB]", "data.split.test=[chrC]",
    "train.max_steps=1", "train.batch_size=2", "train.valid_windows=2", "evaluate.max_windows=2",
    "evaluate.sweeps=2", "sample.n=0", "markov_order=1",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    found = golden("caduceus_ph_add_tie_fused")
    return write_folder(tmp_path / "ph", found.about["config"], found.weights)


def settings_of(init: str, genome: object, *words: str) -> TrainConfig:
    return resolve("dna/tiny", [*WORDS, *words], {"data.ref": str(genome), "init": init})


def test_training_starts_from_published_weights(folder, genome):
    settings = settings_of(str(folder), genome)
    assert (settings.model.symmetry, settings.model.width, settings.objective.kind) == ("ph", 16, "mdlm")
    assert settings.init == str(folder)
    weights = load_file(find_checkpoint(folder) / checkpoint.WEIGHTS)
    model = train.build(settings, checkpoint.read_vocab(find_checkpoint(folder)))
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_a_run_records_the_commit_and_the_hashes(folder, genome, tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    with hub_here() as hub:
        commit = hub.add("someone/ph", folder)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        settings = settings_of("hf:someone/ph", genome)
        out = train.run(settings, tmp_path / "run")
    init = json.loads((out / "manifest.json").read_text())["init"]
    assert init["name"] == settings.init == f"hf:someone/ph@{commit}"
    assert init["sha256"] == {name: sha256(folder / name) for name in ("model.safetensors", "config.json")}


@pytest.mark.case(57)
def test_weights_of_another_vocabulary_are_refused(folder, text_words, text_corpus):
    words = [word for word in text_words if not word.startswith("model.")]
    settings = resolve("text/demo", words, {"data.path": str(text_corpus), "init": str(folder)})
    with pytest.raises(InputError, match=r"knows other tokens \(16\) than these data have"):
        train.run(settings, folder / "run")
