import json

import pytest
import torch
from torch import nn

from dnadiff import checkpoint
from dnadiff.errors import InputError
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.vocab import DNA


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2)), DNA).eval()


@pytest.fixture
def folder(model, tmp_path):
    checkpoint.save(tmp_path / "model", model, about={"step": 3})
    return tmp_path / "model"


def change_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_saved_model_loads_to_the_last_bit(model, folder):
    loaded = checkpoint.load(folder)
    assert loaded.config == model.config
    assert loaded.vocab == DNA
    tokens = torch.tensor([[7, 8, 3, 3, 10]])
    assert torch.equal(loaded.network(tokens), model.network(tokens))
    assert not loaded.training


def test_the_manifest_says_what_it_is(folder):
    manifest = checkpoint.verify(folder)
    assert (manifest["step"], manifest["vocab"]) == (3, DNA.digest())
    assert set(manifest["sha256"]) == {"config.yaml", "vocab.json", "weights.safetensors"}


@pytest.mark.parametrize("name", ["weights.safetensors", "config.yaml", "vocab.json"])
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:9] + b"!" + data[10:], None])
def test_damage_is_found_before_anything_is_used(folder, name, damage):
    path = folder / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=rf"{name}: damaged or missing .*use another checkpoint"):
        checkpoint.load(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": 3, "format": 1}', '{"sha256": {}}'])
def test_a_damaged_manifest_is_found(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        checkpoint.load(folder)


def test_a_manifest_cannot_point_outside_its_folder(folder, tmp_path):
    (tmp_path / "secret").write_text("")
    known = checkpoint.verify(folder)["sha256"]
    change_manifest(folder, sha256={**known, "../secret": "0"})
    with pytest.raises(InputError, match="damaged or missing"):
        checkpoint.verify(folder)


def test_a_manifest_must_cover_the_weights(folder):
    known = checkpoint.verify(folder)["sha256"]
    change_manifest(folder, sha256={name: digest for name, digest in known.items() if name != "weights.safetensors"})
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        checkpoint.verify(folder)


def test_a_checkpoint_from_the_future_is_refused_with_its_version(folder):
    change_manifest(folder, format=checkpoint.FORMAT + 1, dnadiff="9.9")
    with pytest.raises(InputError, match=r"written by dnadiff 9\.9, which is newer than this; upgrade"):
        checkpoint.load(folder)


def test_what_is_no_checkpoint_is_said_so(tmp_path):
    with pytest.raises(InputError, match="not a dnadiff checkpoint"):
        checkpoint.load(tmp_path)


def test_misfits_are_listed_and_nothing_is_loaded():
    module = nn.Linear(2, 3)
    before = module.weight.clone()
    with pytest.raises(InputError, match=r"missing bias; unexpected extra; weight has shape \(4,\), not \(3, 2\)"):
        checkpoint.load_tensors(module, {"weight": torch.ones(4), "extra": torch.ones(1)}, where="x")
    assert torch.equal(module.weight, before)


def test_tied_tensors_are_saved_once_and_stay_tied(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(2, 2, bias=False)
            self.second = nn.Linear(2, 2, bias=False)
            self.second.weight = self.first.weight

    tied = Tied()
    kept = checkpoint._without_aliases(tied.state_dict())
    assert list(kept) == ["first.weight"]
    other = Tied()
    checkpoint.load_tensors(other, kept, where="x")
    assert torch.equal(other.second.weight, tied.first.weight)
    assert other.second.weight is other.first.weight


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(InputError, match="not a readable safetensors file"):
        checkpoint.read_tensors(tmp_path / "w.safetensors")
