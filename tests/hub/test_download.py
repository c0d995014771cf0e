"""Models of a hub: found by name and revision, checked, resumed, refused; nothing half is ever used."""

from __future__ import annotations

import builtins
import hashlib
from pathlib import Path

import pytest
import torch
from published_models import close, golden, write_folder

import dnadiff
from dnadiff import checkpoint
from dnadiff.errors import InputError, ResourceError
from dnadiff.hub import download
from dnadiff.run import find_checkpoint, lasting_name, origin

NAME = "someone/caduceus-ps"
FOUND = golden("caduceus_ps_add_tie_fused")


@pytest.fixture
def commit(hub, tmp_path):
    """Of a published model on the hub."""
    folder = write_folder(tmp_path / "ps", FOUND.about["config"], FOUND.weights)
    (folder / "modeling_caduceus.py").write_text("raise SystemExit")
    (folder / "README.md").write_text("hello")
    return hub.add(NAME, folder)


@pytest.mark.parametrize("revision", ["", "@main", "@{commit}"])
def test_a_model_of_the_hub_gives_the_published_logits(hub, commit, revision):
    model = dnadiff.load(f"hf:{NAME}{revision.format(commit=commit)}").network
    assert close(model.network(FOUND.tensors["in.input_ids"]), FOUND.tensors["out.logits"])


@pytest.mark.case(55)
def test_neither_code_nor_anything_else_is_fetched(hub, commit):
    folder = download.download(Path(f"hf:{NAME}"))
    assert {file.name for file in folder.iterdir()} == {"config.json", "model.safetensors"}
    assert not [path for _, path in hub.asked if path.endswith((".py", ".md"))]


def test_settings_keep_the_commit_and_manifests_every_hash(hub, commit, tmp_path):
    name = lasting_name(Path(f"hf:{NAME}"))
    assert name == f"hf:{NAME}@{commit}"
    hub.commit(NAME, {"config.json": b"{}"})
    download._download.cache_clear()
    assert lasting_name(Path(name)) == name
    about = origin(name)
    assert about["name"] == name
    assert about["sha256"]["model.safetensors"] == digest(tmp_path / "ps" / "model.safetensors")


@pytest.mark.case(59)
def test_what_was_fetched_opens_without_the_hub(hub, commit, monkeypatch):
    name = lasting_name(Path(f"hf:{NAME}"))
    download._download.cache_clear()
    n_asked = len(hub.asked)
    assert dnadiff.load(name).network is not None
    assert len(hub.asked) == n_asked


def test_our_own_models_are_read_as_they_are(hub, tmp_path):
    model = dnadiff.load(write_folder(tmp_path / "ps", FOUND.about["config"], FOUND.weights))
    checkpoint.save(tmp_path / "ours", model.network)
    hub.add("someone/ours", tmp_path / "ours")
    again = dnadiff.load("hf:someone/ours")
    tokens = FOUND.tensors["in.input_ids"]
    assert torch.equal(again.network.network(tokens), model.network.network(tokens))


def test_pickles_are_fetched_only_where_there_is_nothing_better(hub, tmp_path):
    hub.add("someone/old", write_folder(tmp_path / "old", FOUND.about["config"], FOUND.weights, form="bin"))
    both = write_folder(tmp_path / "both", FOUND.about["config"], FOUND.weights, form="bin")
    hub.add("someone/both", write_folder(both, FOUND.about["config"], FOUND.weights))
    assert (download.download(Path("hf:someone/old")) / "pytorch_model.bin").is_file()
    assert not (download.download(Path("hf:someone/both")) / "pytorch_model.bin").exists()


@pytest.mark.case(53)
def test_a_cut_download_goes_on_where_it_stopped(hub, commit):
    hub.cuts = [1000] * 3
    assert dnadiff.load(f"hf:{NAME}").network is not None


@pytest.mark.case(53)
@pytest.mark.parametrize(
    "harm",
    [
        {"replaced": {"model.safetensors": b"x" * 100}},
        {"page": b"<html>log in to this network</html>"},
        {"redirects": {"model.safetensors": "file:///etc/hostname"}},
    ],
    ids=lambda harm: next(iter(harm)),
)
def test_what_is_not_the_file_is_refused_and_not_kept(hub, commit, harm, tmp_path):
    for name, value in harm.items():
        setattr(hub, name, value)
    with pytest.raises(ResourceError, match=r"cannot be fetched .*; try again|was not what the hub says") as caught:
        find_checkpoint(Path(f"hf:{NAME}"))
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "hub-cache").rglob("model.safetensors"))


@pytest.mark.case(53)
@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_of_the_right_length_and_other_content_is_refused_and_removed(hub, commit, name):
    content = hub.models[NAME][commit][name]
    hub.replaced = {name: content[:-1] + b"?"}
    with pytest.raises(ResourceError, match=rf"{name}: was not what the hub says it is .*was removed; try again"):
        find_checkpoint(Path(f"hf:{NAME}"))
    hub.replaced = {}
    assert dnadiff.load(f"hf:{NAME}").network is not None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:someone/nothing", "the hub has no such model, or it is private; check the name, or log in"),
        (f"hf:{NAME}@v2", "the model has no such revision; name a branch, tag or commit of it"),
        ("hf:caduceus", "not a model on the hub; write hf:owner/name or hf:owner/name@revision"),
        ("hf:../etc@main", "not a model on the hub"),
        ("hf:someone/empty", "holds no weights that are read here .*; name another"),
    ],
)
def test_names_that_lead_nowhere_are_refused(hub, commit, name, message):
    hub.commit("someone/empty", {"README.md": b"x"})
    with pytest.raises(InputError, match=message) as caught:
        dnadiff.load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.case(59)
@pytest.mark.parametrize("where", ["http://127.0.0.1:9", "http://no-such-host.invalid", "offline"])
def test_a_hub_that_cannot_be_reached_is_said_so_at_once(hub, monkeypatch, where):
    if where == "offline":
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    else:
        monkeypatch.setenv("HF_ENDPOINT", where)
    with pytest.raises(ResourceError, match=r"cannot be fetched .*; try again"):
        dnadiff.load("hf:someone/elsewhere")


def test_without_the_library_the_extra_is_named(monkeypatch):
    def no_hub(name: str, *args: object, **kwargs: object) -> object:
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return found(name, *args, **kwargs)

    found = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", no_hub)
    with pytest.raises(InputError, match=r"models of the hub need an extra: pip install 'dnadiff\[hub\]'"):
        download.download(Path("hf:someone/not-yet-fetched"))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
