"""`hf:owner/name[@revision]`: a model of the Hugging Face hub as a folder of this machine.

Only settings, vocabularies and weights are fetched, never code. Every file is compared with the hash that the hub
gives it, since what huggingface_hub itself compares is the length.
"""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from dnadiff.errors import InputError, ResourceError
from dnadiff.files import sha256
from dnadiff.hub.library import endpoint, explained, library

PREFIX = "hf:"
BESIDE = [
    "config.json", "config.yaml", "manifest.json",
    "tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "merges.txt",
]  # fmt: skip
WEIGHTS = [  # the first that the model has; the index names several files
    ["weights.safetensors", "model.safetensors", "model.safetensors.index.json", "model-*.safetensors"],
    ["pytorch_model.bin"],
]


class Reference(NamedTuple):
    """A model on the hub; the revision is a branch, a tag or a commit."""

    repository: str
    revision: str


def is_reference(path: Path) -> bool:
    """Whether a user's path names a model on the hub."""
    return str(path).startswith(PREFIX)


def parse(text: str) -> Reference:
    """The parts of `hf:owner/name[@revision]`.

    Raises:
        InputError: it has another form.
    """
    parts = re.fullmatch(rf"{PREFIX}(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w./-]*))?", text)
    if parts is None:
        raise InputError(f"{text}: not a model on the hub; write hf:owner/name or hf:owner/name@revision")
    return Reference(parts[1], parts[2] or "main")


def download(path: Path) -> Path:
    """The folder of a model on the hub; what is here already is not fetched again, so that it also opens offline.

    Raises:
        InputError: there is no such model, revision, or file; huggingface_hub is not installed.
        ResourceError: the hub cannot be reached, or a file is not what it says.
    """
    return _download(parse(str(path)), endpoint())


def pinned(path: Path) -> str:
    """`hf:owner/name@commit`: a name that means the same files for ever."""
    return f"{PREFIX}{parse(str(path)).repository}@{download(path).name}"


@functools.cache  # one process sees one revision
def _download(reference: Reference, hub: str | None) -> Path:
    for weights in WEIGHTS:
        folder = _snapshot(reference, hub, [*BESIDE, *weights])
        if any(file for name in weights for file in folder.glob(name)):
            break
    else:
        known = ", ".join(name for names in WEIGHTS for name in names)
        raise InputError(f"{PREFIX}{reference.repository}: holds no weights that are read here ({known}); name another")
    for file in sorted(folder.iterdir()):
        _compare(file)
    return folder


def _snapshot(reference: Reference, hub: str | None, names: list[str]) -> Path:
    where = f"{PREFIX}{reference.repository}@{reference.revision}"
    with explained(where, failed="cannot be fetched ({}); try again, the download goes on where it stopped"):
        folder: str = library().snapshot_download(
            reference.repository, revision=reference.revision, allow_patterns=names, endpoint=hub
        )
    return Path(folder)


def _compare(file: Path) -> None:
    """A snapshot links to blobs that are named by the hash of their content: sha256 of large files, git's of others."""
    blob = file.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name):
        found = sha256(blob)
    elif re.fullmatch(r"[0-9a-f]{40}", blob.name):
        content = blob.read_bytes()
        found = hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()
    else:
        return  # a mirror with other names; the manifest still says what was read
    if found != blob.name:
        blob.unlink()
        file.unlink(missing_ok=True)  # the link to it
        raise ResourceError(f"{file}: was not what the hub says it is (its hash differs), and was removed; try again")
