import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from hostile import many_tensors, mutants, pickles
from torch import nn

from dnadiff import checkpoint
from dnadiff.errors import InputError
from dnadiff.files import TEMPORARY, sha256
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.vocab import DNA

FILES = {"config.yaml", "vocab.json", "weights.safetensors"}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2)), DNA).eval()


@pytest.fixture
def folder(model, tmp_path):
    checkpoint.save(tmp_path / "model", model, about={"step": 3})
    return tmp_path / "model"


def change_manifest(folder, **changes):
    """As somebody would who also forges its digest."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(checkpoint.signed({**json.loads(path.read_text()), **changes})))


@pytest.mark.case(56)
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
    assert set(manifest["sha256"]) == FILES


def test_a_manifest_that_was_changed_is_found_and_one_of_the_first_version_is_read(folder):
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"step": 3', '"step": 4'))
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        checkpoint.verify(folder)
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    assert checkpoint.verify(folder)["step"] == 4


@pytest.mark.case(5)
def test_files_are_flushed_whole_before_the_checkpoint_has_its_name_and_the_name_after(model, tmp_path, monkeypatch):
    told, fsync, replace = [], os.fsync, os.replace

    def flush(descriptor):
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        told.append((path.name, path.stat().st_size if path.is_file() else None))
        fsync(descriptor)

    def rename(old, new):
        told.append(("renamed", Path(new).name))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", rename)
    state = {"weights.safetensors": model.state_dict()}
    checkpoint.write(tmp_path / "model", model.config, DNA, state, about={}, training={"step": torch.ones(3)})
    files = {(path.name, path.stat().st_size) for path in (tmp_path / "model").iterdir()}
    assert {name for name, _ in files} == {*FILES, "training.pt", "manifest.json"}
    assert set(told[:-3]) == files
    (unfinished, _), *renamed = told[-3:]
    assert unfinished.startswith(TEMPORARY)
    assert unfinished.endswith("-model")
    assert renamed == [("renamed", "model"), (tmp_path.name, None)]


@pytest.mark.case(56)
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


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"sha256": 3, "format": 1}', '{"sha256": {}}', "[" * 100_000, '{"sha256": {}, "format": NaN}'],
)
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


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b", "/etc/hostname", "."])
def test_a_manifest_may_name_anything(folder, name):
    known = checkpoint.verify(folder)["sha256"]
    change_manifest(folder, format=1, sha256={**known, name: "0"})
    with pytest.raises(InputError, match="damaged or missing"):
        checkpoint.verify(folder)


def test_a_manifest_must_cover_the_weights(folder):
    known = checkpoint.verify(folder)["sha256"]
    change_manifest(folder, sha256={name: digest for name, digest in known.items() if name != "weights.safetensors"})
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        checkpoint.verify(folder)


@pytest.mark.case(56)
@pytest.mark.parametrize("older", [0, -1])
def test_a_format_that_never_was_is_refused(folder, older):
    change_manifest(folder, format=older)
    with pytest.raises(InputError, match=r"manifest\.json: damaged"):
        checkpoint.load(folder)


def replace_file(folder, name, content):
    """As somebody would who also forges the checksum."""
    (folder / name).write_bytes(content)
    known = json.loads((folder / "manifest.json").read_text())["sha256"]
    change_manifest(folder, sha256={**known, name: sha256(folder / name)})


@pytest.mark.case(57)
@pytest.mark.parametrize(
    "change",
    [
        {"tokens": ["[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", "T", "G", "C", "A", "N"]},
        {"mask": 5}, {"letters": [7, 8, 9]}, {"size": 17}, {"complement": None},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_a_vocabulary_of_other_tokens_or_ids_is_refused_by_its_hash(folder, change):
    fields = json.loads((folder / "vocab.json").read_text())
    replace_file(folder, "vocab.json", json.dumps({**fields, **change}).encode())
    with pytest.raises(InputError, match=r"vocab\.json: is not the vocabulary that manifest\.json names; use another"):
        checkpoint.load(folder)


@pytest.mark.case(57)
def test_letters_in_another_order_are_never_read_as_dna(model, tmp_path):
    other = replace(DNA, tokens=(*DNA.tokens[:7], *"TGCA", "N"))
    checkpoint.save(tmp_path / "model", DiffusionModel(model.config, other))
    with pytest.raises(InputError, match=r"its tokens are not DNA's, and no tokenizer\.json says what they mean"):
        checkpoint.load(tmp_path / "model")


@pytest.mark.case(57)
@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 100_000, '{"tokens": 3}', json.dumps({**asdict(DNA), "more": 1}),
     *(json.dumps({**asdict(DNA), **change}) for change in ({"mask": 99}, {"letters": [-1]}, {"size": "x"}))],
)  # fmt: skip
def test_a_vocabulary_that_is_none_is_refused(folder, text):
    replace_file(folder, "vocab.json", text.encode())
    with pytest.raises(InputError, match=r"vocab\.json: damaged; use another checkpoint"):
        checkpoint.load(folder)


@pytest.mark.case(56)
@pytest.mark.parametrize("number", ["1e999", "9" * 1000])
def test_a_format_may_be_any_number(folder, number):
    (folder / "manifest.json").write_text(f'{{"sha256": {{}}, "format": {number}}}')
    with pytest.raises(InputError, match="which is newer than this; upgrade dnadiff"):
        checkpoint.verify(folder)


@pytest.mark.case(56)
def test_a_checkpoint_from_the_future_is_refused_with_its_version(folder):
    change_manifest(folder, format=checkpoint.FORMAT + 1, dnadiff="9.9")
    with pytest.raises(InputError, match=r"written by dnadiff 9\.9, which is newer than this; upgrade"):
        checkpoint.load(folder)


def test_what_is_no_checkpoint_is_said_so(tmp_path):
    with pytest.raises(InputError, match="not a dnadiff checkpoint"):
        checkpoint.load(tmp_path)


@pytest.mark.case(56)
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


@pytest.mark.case(51)
@pytest.mark.parametrize("number", range(10))
def test_malformed_weights_are_refused_even_with_the_right_checksum(folder, number):
    content = (folder / "weights.safetensors").read_bytes()
    replace_file(folder, "weights.safetensors", [*mutants(content).values()][number])
    with pytest.raises(InputError, match=r"weights\.safetensors: not a readable safetensors file"):
        checkpoint.load(folder)


@pytest.mark.case(51)
def test_very_many_tensors_are_refused_at_once(folder):
    replace_file(folder, "weights.safetensors", many_tensors(100_000))
    began = time.process_time()
    with pytest.raises(InputError, match=r"not a readable safetensors file \(its header is too large\); use another"):
        checkpoint.load(folder)
    assert time.process_time() - began < 2


@pytest.mark.case(50)
def test_a_pickle_under_the_name_of_weights_is_never_run(folder, tmp_path):
    for content in pickles(tmp_path / "ran").values():
        replace_file(folder, "weights.safetensors", content)
        with pytest.raises(InputError, match="not a readable safetensors file"):
            checkpoint.load(folder)
        assert not (tmp_path / "ran").exists()
