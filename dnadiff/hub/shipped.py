"""The model that ships inside the package: a saved model by its name, which verbs mean where none is named.

A package without its folder has no such model, and every verb asks for one.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from dnadiff.errors import InputError

NAME = "dna-small"
WEIGHTS = Path(str(files("dnadiff"))) / "weights"  # with a folder of that name


def folder() -> Path | None:
    """The model, as `save_pretrained` wrote it; None where none ships."""
    path = WEIGHTS / NAME
    return path if path.is_dir() else None


def called(path: Path) -> str:
    """What messages call a model: the one that ships by its name, others by their path."""
    return NAME if path == folder() else str(path)


def is_name(path: Path) -> bool:
    """Whether a user's path is the name of the model that ships.

    Raises:
        InputError: it is the name of something in this folder too.
    """
    if str(path) != NAME or folder() is None:
        return False
    if path.exists():
        raise InputError(f"{NAME}: is the model that ships, and there is one here too; name that one by its whole path")
    return True


def default() -> Path:
    """What is meant where no model is named.

    Raises:
        InputError: none ships.
    """
    found = folder()
    if found is None:
        raise InputError("no model is named, and none ships with this package; name a run, or hf:owner/name")
    return found
