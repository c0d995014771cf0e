"""A model as a folder: config.yaml, vocab.json, weights.safetensors, and a manifest.json with a sha256 per file.

The folder appears under its name only when it is complete. Loading verifies every checksum, needs every tensor with
its shape, and never runs code from a file.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dnadiff import config as settings
from dnadiff.data.text.tokenizer import KEPT
from dnadiff.errors import InputError, ResourceError
from dnadiff.files import sha256, unfinished
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Backbone
from dnadiff.models.classifier import ClassifierConfig, SequenceClassifier
from dnadiff.vocab import DNA, Vocab

FORMAT = 2  # the first had no digest of the manifest itself
MANIFEST = "manifest.json"  # with a checksum of every other file
WEIGHTS = "weights.safetensors"
TRAINING = "training.pt"
OWN_DIGEST = "sha256_of_this"  # in the manifest, of all else that is in it
MOST_UNHELD = 1 << 28  # numbers that settings may ask for beyond those of the file, which is then said not to fit
LARGEST_HEADER = 1 << 20  # bytes, of the names and shapes of ten thousand tensors


def save(folder: Path, model: DiffusionModel, *, about: Mapping[str, Any] | None = None) -> None:
    """Write a model for use: no optimiser, no resume."""
    write(folder, model.config, model.vocab, {WEIGHTS: model.state_dict()}, about=about or {})


def write(
    folder: Path,
    config: settings.Settings,
    vocab: Vocab,
    tensors: Mapping[str, Mapping[str, Tensor]],
    *,
    about: Mapping[str, Any],
    training: Mapping[str, Any] | None = None,
    files: Mapping[str, str] = {},
) -> None:
    """Write a checkpoint folder, all or nothing.

    Args:
        tensors: state dicts by file name; weights.safetensors is what `load` reads.
        about: facts for the manifest, such as the step and the fingerprint of the data.
        training: what a resumed run needs beyond weights; primitives and tensors only.
        files: more text files by name, such as a tokenizer's.

    Raises:
        ResourceError: the folder cannot be written, or the disk is full.
    """
    needed = _n_bytes([*tensors.values(), training])
    with unfinished(folder) as temporary:
        _require_room(folder, needed)
        temporary.mkdir()
        (temporary / "config.yaml").write_text(settings.to_yaml(config))
        (temporary / "vocab.json").write_text(json.dumps(asdict(vocab)))
        for name, text in files.items():
            (temporary / name).write_text(text, encoding="utf-8")
        try:
            for name, state in tensors.items():
                save_file(_without_aliases(state), temporary / name)
                (temporary / name).chmod(0o644)  # safetensors leaves it to its owner alone
            if training is not None:
                torch.save(dict(training), temporary / TRAINING)
        except (SafetensorError, RuntimeError):
            _require_room(folder, needed)  # they do not say that it is the disk
            raise
        files = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        manifest = {
            "format": FORMAT, "dnadiff": version("dnadiff"), "vocab": vocab.digest(), **about, "sha256": files,
        }  # fmt: skip
        (temporary / MANIFEST).write_text(json.dumps(signed(manifest), indent=2))


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a checkpoint folder, after every file has been compared with its checksum.

    Raises:
        InputError: something is missing, damaged, or from a newer version.
    """
    path = folder / MANIFEST
    try:
        manifest: dict[str, Any] = json.loads(path.read_text())
        files: dict[str, str] = dict(manifest["sha256"])
        newer = bool(manifest["format"] > FORMAT)
        is_intact = manifest["format"] == 1 or (manifest["format"] == FORMAT and signed(manifest) == manifest)
        if not newer and not (is_intact and {"config.yaml", "vocab.json", WEIGHTS} <= files.keys()):
            raise ValueError
    except FileNotFoundError:
        raise InputError(
            f"{folder}: not a dnadiff checkpoint (no manifest.json); name a run or checkpoint folder"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: damaged; use another checkpoint of the run") from None
    if newer:
        raise InputError(
            f"{folder}: written by dnadiff {manifest.get('dnadiff')}, which is newer than this; upgrade dnadiff"
        )
    present = {file.name for file in folder.iterdir() if file.is_file()}  # a manifest may name anything
    for name, expected in files.items():
        file = folder / name
        if name not in present or sha256(file) != expected:
            raise InputError(f"{file}: damaged or missing (its checksum differs); use another checkpoint of the run")
    return manifest


def signed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with the sha256 of what is in it."""
    facts = {name: value for name, value in manifest.items() if name != OWN_DIGEST}
    return {**facts, OWN_DIGEST: hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()}


def load(folder: Path) -> DiffusionModel:
    """A model from its folder, on the CPU, in evaluation mode.

    Raises:
        InputError: damaged files, unknown settings, or weights that do not fit.
    """
    verify(folder)
    config, vocab = settings.read(ModelConfig, folder / "config.yaml"), _understood_vocab(folder)
    tensors = _tensors_for(config.model, vocab, folder)
    model = DiffusionModel(config, vocab)
    load_tensors(model, tensors, where=str(folder / WEIGHTS))
    return model.eval()


def load_classifier(folder: Path) -> SequenceClassifier:
    """A fine-tuned classifier from its folder, on the CPU, in evaluation mode; its classes are in its config.

    Raises:
        InputError: as `load`.
    """
    verify(folder)
    config, vocab = settings.read(ClassifierConfig, folder / "config.yaml"), _understood_vocab(folder)
    tensors = _tensors_for(config.model, vocab, folder)
    model = SequenceClassifier(config, vocab)
    load_tensors(model, tensors, where=str(folder / WEIGHTS))
    return model.eval()


def read_vocab(folder: Path) -> Vocab:
    """The vocabulary of a checkpoint folder.

    Raises:
        InputError: there is none, or not the one that the manifest names.
    """
    try:
        fields: Any = json.loads((folder / "vocab.json").read_text())
        named = json.loads((folder / MANIFEST).read_text())["vocab"]
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
        }
        vocab = Vocab(**values)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{folder / 'vocab.json'}: damaged; use another checkpoint of the run") from None
    if vocab.digest() != named:
        raise InputError(
            f"{folder / 'vocab.json'}: is not the vocabulary that {MANIFEST} names; use another checkpoint"
        )
    return vocab


def _understood_vocab(folder: Path) -> Vocab:
    """DNA's, or one whose tokenizer is beside it: letters in another order would be read as DNA without a word."""
    vocab = read_vocab(folder)
    if vocab.digest() != DNA.digest() and not (folder / KEPT).is_file():
        raise InputError(f"{folder}: its tokens are not DNA's, and no {KEPT} says what they mean; use another model")
    return vocab


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file.

    Raises:
        InputError: it is none, is damaged, or lists more tensors than networks have, which would take minutes to read.
    """
    try:
        with path.open("rb") as file:
            if int.from_bytes(file.read(8), "little") > LARGEST_HEADER:
                raise SafetensorError("its header is too large")
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file ({error}); use another checkpoint") from None


def _tensors_for(backbone: Backbone, vocab: Vocab, folder: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, once it is sure that its settings do not ask for far more memory than these take."""
    tensors = read_tensors(folder / WEIGHTS)
    held = sum(tensor.numel() for tensor in tensors.values())
    with torch.device("meta"):
        asked = sum(parameter.numel() for parameter in backbone.build(vocab).parameters())
    if asked > held + MOST_UNHELD:
        raise InputError(
            f"{folder / 'config.yaml'}: asks for a network of {asked:,} numbers, {WEIGHTS} holds {held:,}; "
            "use another checkpoint"
        )
    return tensors


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Copy tensors into a module, strictly; tied tensors stay tied.

    Raises:
        InputError: a plain list of what is missing, unexpected or of another shape; nothing is loaded then.
    """
    own = module.state_dict()
    aliases = _aliases(own)
    given = {**{name: tensors[first] for name, first in aliases.items() if first in tensors}, **tensors}
    problems = [f"missing {name}" for name in own if name not in given]
    problems += [f"unexpected {name}" for name in given if name not in own]
    problems += [
        f"{name} has shape {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise InputError(f"{where}: does not fit the model: {'; '.join(problems[:5])}{more}; check the model settings")
    module.load_state_dict(given)


def _n_bytes(state: Any) -> int:
    """Of all tensors in nested mappings and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, Mapping) else state if isinstance(state, list | tuple) else ()
    return sum(_n_bytes(part) for part in parts)


def _require_room(folder: Path, needed: int) -> None:
    """What is known not to fit is not begun."""
    free = shutil.disk_usage(folder.parent).free
    if free < needed:
        raise ResourceError(
            f"{folder}: the disk is full: {needed:,} bytes are needed, {free:,} are free; make room, and the same "
            "command goes on from the last checkpoint"
        )


def _aliases(state: Mapping[str, Tensor]) -> dict[str, str]:
    """Second and later names of the same storage -> the first name."""
    first: dict[tuple[int, int], str] = {}
    aliases = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tensor.numel())
        if first.setdefault(key, name) != name:
            aliases[name] = first[key]
    return aliases


def _without_aliases(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each storage once, since safetensors refuses shared ones."""
    aliases = _aliases(state)
    return {name: tensor.detach().contiguous() for name, tensor in state.items() if name not in aliases}
