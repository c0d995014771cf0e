"""Models for elsewhere: folders in our layout or the published one, and the Hugging Face hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from dnadiff import checkpoint
from dnadiff.data.text.tokenizer import KEPT, TextTokenizer
from dnadiff.errors import InputError
from dnadiff.files import unfinished, write_text
from dnadiff.hub.library import endpoint, explained, library
from dnadiff.model import DiffusionModel
from dnadiff.models import Caduceus
from dnadiff.models.published import published_names, to_published
from dnadiff.models.published_config import to_published_config
from dnadiff.vocab import DNA

Layout = Literal["dnadiff", "caduceus"]
CARD = "README.md"


def write_folder(
    folder: Path,
    model: DiffusionModel,
    card: str,
    *,
    layout: Layout,
    about: Mapping[str, Any],
    tokenizer: TextTokenizer | None,
) -> None:
    """Write a model for use, with its card.

    Args:
        layout: `caduceus` is that of the original weights.
        about: facts for the manifest, which the published layout has none of.
        tokenizer: of a model of text.

    Raises:
        InputError: the folder holds something, or the network has no published form.
        ResourceError: the folder cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: is there already and holds something; name a new folder")
    if layout == "caduceus":
        _write_published(folder, model)
    else:
        files = {KEPT: tokenizer.definition} if tokenizer else {}
        state = {checkpoint.WEIGHTS: model.state_dict()}
        checkpoint.write(folder, model.config, model.vocab, state, about=about, files=files)
    write_text(folder / CARD, card)  # by itself, so that it may be edited without breaking a checksum


def upload(folder: Path, repository: str, *, private: bool) -> str:
    """Put the files of a folder on the hub; returns the name that means them for ever.

    Raises:
        InputError: no such owner, or no right to write.
        ResourceError: the hub cannot be reached.
    """
    with explained(f"hf:{repository}", failed="cannot be uploaded ({}); check the name and `hf auth whoami`"):
        hub = library().HfApi(endpoint=endpoint())
        hub.create_repo(repository, private=private, exist_ok=True)
        done = hub.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=f"A model of dnadiff {version('dnadiff')}"
        )
    return f"hf:{repository}@{done.oid}"


def is_unchanged(model: DiffusionModel, source: Path) -> bool:
    """Whether a model still has the weights of the checkpoint that it was read from."""
    tensors = checkpoint.read_tensors(source / checkpoint.WEIGHTS)
    own = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    return all(name in own and torch.equal(tensor, own[name]) for name, tensor in tensors.items())


def _write_published(folder: Path, model: DiffusionModel) -> None:
    """config.json and model.safetensors, each tied tensor once, by the first of its names."""
    settings = model.config.model
    if not isinstance(settings, Caduceus) or model.vocab != DNA:
        raise InputError(f"{folder}: a {settings.kind} has no layout caduceus; leave layout out")
    config = to_published_config(settings, model.vocab)
    tensors = to_published(model.network.state_dict(), settings, model.vocab)
    first = {ours: name for name, ours in reversed(published_names(settings).items())}
    second = published_names(settings).keys() - first.values()
    kept = {name: tensor.cpu().contiguous() for name, tensor in tensors.items() if name not in second}
    with unfinished(folder) as temporary:
        temporary.mkdir()
        (temporary / "config.json").write_text(json.dumps(config, indent=2))
        save_file(kept, temporary / "model.safetensors", metadata={"format": "pt"})  # transformers asks for it
        (temporary / "model.safetensors").chmod(0o644)
