"""Models that leave: saved, on a hub, in the original layout; each comes back to the last bit, with an honest card."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from loopback_hub import hub_here
from published_models import CADUCEUS, golden, write_dit, write_folder
from safetensors.torch import load_file

import dnadiff
from dnadiff import checkpoint
from dnadiff.errors import InputError, ResourceError
from dnadiff.inference.api import RunSettings
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.vocab import DNA

RESULTS = {
    "checkpoint": "step-00000003", "split": "test", "evaluate": {"protocol": "strict"},
    "meaning": "an upper bound on -log p", "bits_per_base": {"value": 1.91234, "low": 1.9, "high": 1.92},
    "n_windows": 64, "n_scored": 4096, "n_sweeps": 5, "markov": [1.99, 1.95, 1.96], "chosen_order": 1,
    "parts": {
        "chr7": {"bits_per_base": {"value": 1.8, "low": 1.7, "high": 1.9}, "markov": [1.98, 1.94, 1.93]},
        "tiny": {"bits_per_base": {"value": 1.9, "low": 1.8, "high": 2.0}, "markov": []},
    },
}  # fmt: skip

SPENT = {"trained": {"letters": 40_960_000, "hours": 1.62}, "machine": {"cores": 2, "devices": []}}


@pytest.fixture
def run(tmp_path):
    """What a run leaves behind, as far as a card goes by it."""
    torch.manual_seed(0)
    model = DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2)), DNA)
    folder = tmp_path / "run"
    checkpoint.save(folder / "checkpoints" / "step-00000003", model, about={"step": 3, "valid_bits": 1.9})
    (folder / "config.yaml").write_text("data: {length: 77}\nsample: {sampler: {kind: auto, steps: 9}}\n")
    (folder / "metrics.csv").write_text("step\n")
    (folder / "results.json").write_text(json.dumps(RESULTS))
    data = {"genome": "/somebody/here/small.fa", "bases": "9,000", "fingerprint": "f1e2"}
    (folder / "manifest.json").write_text(json.dumps({"data": data, "seed": 5, "assumptions": ["the rate"], **SPENT}))
    return folder


def logits(model: dnadiff.Model) -> torch.Tensor:
    return model.network.network(torch.tensor([[7, 8, 3, 3, 10, 9]]))


def test_a_saved_model_gives_the_same_logits_in_a_fresh_process(run, tmp_path):
    model = dnadiff.load(run)
    with torch.no_grad():
        model.network.network.embedding += 0.125 * torch.randn(16, 8)  # fine-tuned, as it were
    model.save_pretrained(tmp_path / "saved")
    code = (
        "import sys, torch, dnadiff; torch.set_num_threads(1); model = dnadiff.load(sys.argv[1]).network;"
        "torch.save(model.network(torch.tensor([[7, 8, 3, 3, 10, 9]])), sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "saved", tmp_path / "logits.pt"], check=True)
    assert torch.equal(torch.load(tmp_path / "logits.pt"), logits(model))


def test_a_saved_model_samples_as_its_run_does(run, tmp_path):
    dnadiff.load(run).save_pretrained(tmp_path / "saved")
    settings = dnadiff.load(tmp_path / "saved").settings
    assert settings == dnadiff.load(run).settings != RunSettings()
    assert (settings.data.length, settings.sample.sampler.steps) == (77, 9)


def test_the_card_says_what_the_run_recorded(run, tmp_path):
    dnadiff.load(run).save_pretrained(tmp_path / "saved", license="apache-2.0", name="hf:me/mine")
    text = (tmp_path / "saved" / "README.md").read_text()
    assert text.startswith("---\nlicense: apache-2.0\nlibrary_name: dnadiff\n")
    for said in (
        "| genome | small.fa |", "| fingerprint | f1e2 |", "| seed | 5 |", "| step | 3 |",
        "| letters read | 40,960,000, in 1.6 hours on 2 cores |", "- Assumed: the rate",
        "An upper bound on -log p. Split test, protocol strict, 64 windows, 4,096 letters, 5 sweeps.",
        "| bits per base | 1.9123 | 1.9000 to 1.9200 |", "Markov chain of order 1: 1.9500 bits per base",
        "| chr7 | 1.8000 | 1.7000 to 1.9000 | 1.9400 | 1.9300 |", "| tiny | 1.9000 | 1.8000 to 2.0000 | - | - |",
        'dnadiff.load("hf:me/mine")', "not for clinical use",
    ):  # fmt: skip
        assert said in text.replace("neither its scores nor its samples are for clinical use", "not for clinical use")
    assert "somebody" not in text
    again = dnadiff.load(tmp_path / "saved")
    again.save_pretrained(tmp_path / "twice", license="apache-2.0", name="hf:me/mine")
    assert (tmp_path / "twice" / "README.md").read_text() == text


def test_figures_of_other_weights_are_not_claimed(run, tmp_path):
    model = dnadiff.load(run)
    with torch.no_grad():
        model.network.network.norm.weight[0] += 1
    model.save_pretrained(tmp_path / "saved")
    text = (tmp_path / "saved" / "README.md").read_text()
    assert "None were measured of these weights." in text
    assert "The weights were changed after that; how is not recorded." in text
    assert "1.91" not in (tmp_path / "saved" / "manifest.json").read_text()
    (run / "results.json").write_text(json.dumps({**RESULTS, "checkpoint": "step-00000002"}))
    dnadiff.load(run).save_pretrained(tmp_path / "older")
    assert "None were measured of these weights." in (tmp_path / "older" / "README.md").read_text()


def test_a_card_may_be_edited_and_nothing_else(run, tmp_path):
    dnadiff.load(run).save_pretrained(tmp_path / "saved")
    (tmp_path / "saved" / "README.md").write_text("# better")
    dnadiff.load(tmp_path / "saved")
    (tmp_path / "saved" / "config.yaml").write_text("model: {}")
    with pytest.raises(InputError, match="damaged or missing"):
        dnadiff.load(tmp_path / "saved")


def test_a_folder_that_holds_something_is_left_alone(run, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    for layout in ("dnadiff", "caduceus"):
        with pytest.raises(InputError, match=r"mine: is there already and holds something; name a new folder"):
            dnadiff.load(run).save_pretrained(tmp_path / "mine", layout=layout)
    assert (tmp_path / "mine" / "thesis.tex").is_file()


@pytest.mark.parametrize("name", CADUCEUS)
def test_the_original_layout_comes_back_bit_by_bit(name, tmp_path):
    found = golden(name)
    model = dnadiff.load(write_folder(tmp_path / "first", found.about["config"], found.weights))
    model.save_pretrained(tmp_path / "second", layout="caduceus")
    written = load_file(tmp_path / "second" / "model.safetensors")
    assert all(torch.equal(tensor, found.weights[key]) for key, tensor in written.items())
    again = dnadiff.load(tmp_path / "second")
    assert again.network.config == model.network.config
    assert all(torch.equal(t, model.network.state_dict()[key]) for key, t in again.network.state_dict().items())
    parameters = [key for key in written if "complement_map" not in key]
    assert sum(written[key].numel() for key in parameters) == model.network.n_parameters()
    config = json.loads((tmp_path / "second" / "config.json").read_text())
    asked = {key: value for key, value in found.about["config"].items() if value is not None}
    assert {key: config[key] for key in asked} == asked


@pytest.mark.parametrize(("width", "n_layers", "megabytes"), [(118, 4, 1.89), (256, 4, 7.75), (256, 16, 30.9)])
@pytest.mark.parametrize("symmetry", ["ps", "ph"])
def test_the_published_sizes_have_as_many_numbers_as_the_published_files(width, n_layers, megabytes, symmetry):
    with torch.device("meta"):
        model = DiffusionModel(ModelConfig(model=Caduceus(width=width, n_layers=n_layers, symmetry=symmetry)), DNA)
    assert 4e-6 * model.n_parameters() == pytest.approx(megabytes, rel=0.005)


def test_other_networks_have_no_original_layout(tmp_path):
    model = dnadiff.load(write_dit(tmp_path / "dit"))
    with pytest.raises(InputError, match="a dit has no layout caduceus; leave layout out"):
        model.save_pretrained(tmp_path / "out", layout="caduceus")
    assert not (tmp_path / "out").exists()
    model.save_pretrained(tmp_path / "ours")
    assert dnadiff.load(tmp_path / "ours").tokenizer == model.tokenizer


@pytest.fixture
def hub(tmp_path, monkeypatch):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_made_up")
    with hub_here() as here:
        monkeypatch.setenv("HF_ENDPOINT", here.url)
        yield here


def test_a_model_goes_to_the_hub_and_comes_back(run, hub):
    model = dnadiff.load(run)
    name = model.push_to_hub("me/mine", license="cc0-1.0")
    files = hub.models["me/mine"][name.partition("@")[2]]
    assert set(files) == {"README.md", "config.yaml", "manifest.json", "vocab.json", "weights.safetensors"}
    assert b'dnadiff.load("hf:me/mine")' in files["README.md"]
    assert torch.equal(logits(dnadiff.load("hf:me/mine")), logits(model))
    assert "hf:me/mine@" in str(dnadiff.load(name).source)


def test_what_goes_wrong_with_an_upload_is_one_line(run, hub, monkeypatch):
    model = dnadiff.load(run)
    with pytest.raises(InputError, match="not a model on the hub; write hf:owner/name"):
        model.push_to_hub("mine", license="cc0-1.0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ResourceError, match=r"^hf:me/mine: cannot be uploaded .*; check the name") as caught:
        model.push_to_hub("me/mine", license="cc0-1.0")
    assert "\n" not in str(caught.value)
