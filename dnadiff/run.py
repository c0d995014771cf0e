"""The folder of a training run: one process at a time, checkpoints by step, the same command resumes.

config.yaml  manifest.json  metrics.csv  log.txt  samples.fa  plots/  checkpoints/step-00000100/
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dnadiff import checkpoint
from dnadiff.config import Settings, differences, read, to_yaml
from dnadiff.errors import InputError, ResourceError
from dnadiff.files import TEMPORARY, remove_unfinished, write_text
from dnadiff.hub import download, importing, shipped

log = logging.getLogger("dnadiff")
VALIDATED = ("valid_bits", "valid_loss")  # in a checkpoint's manifest; one of them
OWN_FILES = {".lock", "log.txt"}  # what a run writes before its settings


class RunFolder:
    """Paths of a run, and the rules for its checkpoints."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    def checkpoint(self, step: int) -> Path:
        """Folder of the checkpoint at a step."""
        return self.path / "checkpoints" / f"step-{step:08d}"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; the lock ends with the process, however it ends.

        Raises:
            InputError: another process trains here, or the folder cannot be written.
            ResourceError: the disk is full.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / ".lock").open("a+")
        except OSError as error:
            kind = ResourceError if error.errno == errno.ENOSPC else InputError
            raise kind(f"{self.path}: cannot be a run folder ({error.strerror}); choose another --out") from None
        with file:
            is_free = _lock(file)
            file.seek(0)
            holder = file.read()
            if not is_free:
                raise InputError(f"{self.path}: process {holder} trains here; wait for it or choose another --out")
            if holder:
                log.warning("%s: process %s ended before it was done; going on from what it left", self.path, holder)
            file.truncate(0)
            file.write(f"{os.getpid()} on {os.uname().nodename}")
            file.flush()
            remove_unfinished(self.path)
            remove_unfinished(self.path / "checkpoints")
            try:
                yield
            finally:
                file.truncate(0)

    def claim(self, settings: Settings, *, safe: Collection[str] = (), force: bool = False) -> None:
        """Record the settings, or compare them with what the folder was begun with; what is new since had its default.

        Args:
            safe: dotted names of settings, or of groups of them, that do not change what is trained.
            force: take the new settings where they differ in safe ones alone.

        Raises:
            InputError: the folder holds a run with other settings; the message names them.
        """
        if not self.config.is_file():
            names = {path.name for path in self.path.iterdir() if not path.name.startswith(TEMPORARY)}
            others = sorted(names - OWN_FILES)
            if others:
                raise InputError(f"{self.path}: holds {others[0]!r} and is no run folder; choose another --out")
            write_text(self.config, to_yaml(settings))
            return
        begun = read(type(settings), self.config)
        changed = differences(begun.model_dump(mode="json"), settings.model_dump(mode="json"))
        if not changed:
            return
        is_safe = all(f"{line.split()[0]}.".startswith(tuple(f"{name}." for name in safe)) for line in changed)
        if not (is_safe and force):
            mend = "choose another --out, or --force" if is_safe else "choose another --out or remove it"
            raise InputError(f"{self.path}: holds a run with other settings ({', '.join(changed[:6])}); {mend}")
        log.warning("going on with other settings: %s", ", ".join(changed))
        write_text(self.config, to_yaml(settings))

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        names = [path.name for path in (self.path / "checkpoints").glob("step-*")]
        return sorted(int(name.removeprefix("step-")) for name in names if re.fullmatch(r"step-\d{8,}", name))

    def newest(self) -> Path | None:
        """The newest checkpoint whose files are all intact; damaged ones are passed over with a warning."""
        for step in reversed(self.steps()):
            try:
                checkpoint.verify(self.checkpoint(step))
            except InputError as error:
                log.warning("%s; trying an older one", error)
            else:
                return self.checkpoint(step)
        return None

    def best(self) -> Path | None:
        """The checkpoint with the lowest validation figure; the newest where none was validated."""
        figures = {step: self._validated(step) for step in self.steps()}
        validated = [step for step, figure in figures.items() if figure is not None]
        return self.checkpoint(min(validated, key=lambda step: (figures[step], -step))) if validated else self.newest()

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep` checkpoints and the best."""
        best = self.best()
        for step in self.steps()[:-keep]:
            if self.checkpoint(step) != best:
                shutil.rmtree(self.checkpoint(step))

    def facts(self) -> dict[str, Any]:
        """What manifest.json holds."""
        known: dict[str, Any] = json.loads(self.manifest.read_text()) if self.manifest.is_file() else {}
        return known

    def add_to_manifest(self, **facts: Any) -> None:
        """Merge facts into manifest.json."""
        write_text(self.manifest, json.dumps({**self.facts(), **facts}, indent=2))

    def _validated(self, step: int) -> float | None:
        """The validation figure of a checkpoint: bits per base, or the loss where that is no likelihood."""
        try:
            manifest: dict[str, Any] = json.loads((self.checkpoint(step) / "manifest.json").read_text())
        except (OSError, ValueError):
            return None
        return next((manifest[name] for name in VALIDATED if name in manifest), None)


def _lock(file: IO[str]) -> bool:
    """Whether a file could be locked for this process alone."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # unlike flock's, not inherited by workers
    except OSError:
        return False
    return True


def config_of(path: Path) -> str | None:
    """The config.yaml of the run that a folder is, or that a checkpoint lies in; None where there is no run.

    Raises:
        InputError: there is no checkpoint.
    """
    folders = [RunFolder(folder) for folder in (path, find_checkpoint(path).parent.parent)]
    return next((str(folder.config) for folder in folders if folder.metrics.is_file()), None)


def lasting_name(path: Path) -> str:
    """What settings keep of a user's path, so that it means the same model later.

    Raises:
        InputError: there is no model.
    """
    if download.is_reference(path):
        return download.pinned(path)
    if path == shipped.folder() or shipped.is_name(path):
        return shipped.NAME
    return str((path if importing.is_published(path) else find_checkpoint(path)).absolute())


def origin(name: str) -> dict[str, Any]:
    """For a manifest: the model behind a lasting name, with a sha256 per file."""
    about = checkpoint.verify(find_checkpoint(Path(name)))
    return {**about.get("published", {"sha256": about["sha256"]}), "name": name}


def find_checkpoint(path: Path) -> Path:
    """The checkpoint folder that a user's path means.

    Args:
        path: a checkpoint; a run folder, for its best one; a published model, as folder or .ckpt; hf:owner/name; the
            name of the model that ships.

    Raises:
        InputError: there is none; the message says what was looked for.
    """
    if download.is_reference(path):
        path = download.download(path)
    elif shipped.is_name(path):
        path = shipped.default()
    if (path / "weights.safetensors").is_file():
        return path
    if importing.is_published(path):
        return importing.imported(path)
    if not path.is_dir():
        found = "is a file" if path.exists() else "no such folder"
        raise InputError(f"{path}: {found}; name a run folder or a checkpoint folder")
    if path.name == "checkpoints":
        path = path.parent
    best = RunFolder(path).best()
    if best is None:
        raise InputError(f"{path}: holds no finished checkpoint; name a run folder that was trained, or a checkpoint")
    return best
