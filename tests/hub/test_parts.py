"""Weights in several files, and sizes that nobody has."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from published_models import close, golden, write_dit, write_folder
from safetensors.torch import load_file, save_file

import dnadiff
from dnadiff import checkpoint
from dnadiff.config import decode
from dnadiff.errors import InputError
from dnadiff.model import ModelConfig
from dnadiff.models.classifier import ClassifierConfig
from dnadiff.run import find_checkpoint, origin
from dnadiff.vocab import DNA

FOUND = golden("caduceus_ps_add_tie_fused")
INDEX = "model.safetensors.index.json"


@pytest.fixture
def folder(tmp_path):
    """A published model in three files."""
    return split(write_folder(tmp_path / "parts", FOUND.about["config"], FOUND.weights))


def split(folder: Path) -> Path:
    tensors = load_file(folder / "model.safetensors")
    listed = {name: f"model-{1 + i % 3:05}-of-00003.safetensors" for i, name in enumerate(sorted(tensors))}
    for part in set(listed.values()):
        save_file({name: tensors[name] for name in listed if listed[name] == part}, folder / part)
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": listed}))
    (folder / "model.safetensors").unlink()
    return folder


def listed(folder: Path) -> dict[str, str]:
    return json.loads((folder / INDEX).read_text())["weight_map"]


def write_index(folder: Path, weight_map: object) -> None:
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))


def refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        find_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_weights_in_several_files_give_the_published_logits(folder):
    model = dnadiff.load(folder).network
    assert close(model.network(FOUND.tensors["in.input_ids"]), FOUND.tensors["out.logits"])
    assert set(origin(str(folder))["sha256"]) == {"config.json", INDEX, *listed(folder).values()}


def test_several_files_of_the_hub_are_fetched(hub, folder):
    hub.add("someone/parts", folder)
    model = dnadiff.load("hf:someone/parts").network
    assert close(model.network(FOUND.tensors["in.input_ids"]), FOUND.tensors["out.logits"])


@pytest.mark.parametrize(
    "name", ["../outside.safetensors", "/tmp/outside.safetensors", "part.bin", "no.safetensors", 3]
)
def test_files_that_are_not_beside_the_index_are_refused(folder, name, tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "outside.safetensors")
    torch.save({}, folder / "part.bin")
    write_index(folder, {**listed(folder), "a": name})
    refused(folder, r"index\.json: lists '.*', which is no file beside it; get the weights too")


def test_an_index_of_other_weights_is_refused(folder):
    names = sorted(listed(folder))
    write_index(folder, {name: part for name, part in listed(folder).items() if name != names[0]})
    refused(folder, rf"does not list what the files hold \({names[0]} in model-00001-of-00003\.safetensors\)")
    write_index(folder, {})
    refused(folder, r"lists no weights \(weight_map\); get it anew")
    (folder / INDEX).write_text("[]")
    refused(folder, "not readable settings")


def test_a_tensor_in_two_files_or_in_another_than_said_is_refused(folder):
    found = listed(folder)
    (first, one), *_ = sorted(found.items())
    other = next(part for part in found.values() if part != one)
    tensors = load_file(folder / other)
    save_file({**tensors, first: load_file(folder / one)[first]}, folder / other)
    refused(folder, rf"does not list what the files hold \({first} in ")
    save_file(tensors, folder / other)
    write_index(folder, {**found, first: other})
    refused(folder, rf"does not list what the files hold \({first} in ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_layer": 10**9}, "n_layers: input should be less than or equal to 1024"),
        ({"d_model": 10**9}, "width: input should be less than or equal to 65536"),
        ({"d_model": 1 << 16}, r"has shape .*, not \(16, 65536\)"),
        ({"ssm_cfg": {"d_state": 10**9}}, "n_states: input should be less than or equal to 65536"),
        ({"ssm_cfg": {"expand": 10**9, "d_conv": 10**9}}, "expand: input should be less .*conv_width: input should be"),
    ],
)
def test_sizes_that_nobody_has_are_refused_at_once(tmp_path, change, message):
    began = time.process_time()
    refused(write_folder(tmp_path / "ps", {**FOUND.about["config"], **change}, FOUND.weights), message)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("model", [{"width": 1 << 16, "n_layers": 100}, {"kind": "dit", "width": 1 << 16}])
def test_a_checkpoint_that_asks_for_far_more_than_it_holds_is_refused_before_it_is_built(tmp_path, model):
    config = decode(ModelConfig, {"model": {"kind": "caduceus", **model}}, where="test")
    weights = {checkpoint.WEIGHTS: {"network.norm.weight": torch.zeros(8)}}
    checkpoint.write(tmp_path / "huge", config, DNA, weights, about={})
    message = r"config\.yaml: asks for a network of [\d,]{14,} numbers, weights\.safetensors holds 8; use another"
    with pytest.raises(InputError, match=message):
        dnadiff.load(tmp_path / "huge")
    classes = ClassifierConfig(model=config.model, classes=("a", "b"))
    checkpoint.write(tmp_path / "classifier", classes, DNA, weights, about={})
    with pytest.raises(InputError, match=message):
        checkpoint.load_classifier(tmp_path / "classifier")


def test_sizes_of_transformers_have_bounds_too(tmp_path):
    for key in ("n_blocks", "hidden_dim"):
        folder = write_dit(tmp_path / key)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, key: 8 * 10**8}))
        refused(folder, "input should be less than or equal to")
