"""Writing files so that a reader never sees half of one, whatever kills the writer.

Everything is written under a temporary name in the *target* folder, flushed to the disk, renamed, and the folder is
flushed too; a temporary folder elsewhere would turn the rename into a copy.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dnadiff.errors import InputError, ResourceError

TEMPORARY = ".unfinished-"


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Force a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; what was there before stays until the new one is complete."""
    with unfinished(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; what is written there (a file or a folder) replaces `path` when the block ends.

    Raises:
        ResourceError: the folder cannot be written, or the disk is full.
    """
    drawn = secrets.token_hex(4)  # numbers of processes are the same on other machines and in containers
    temporary = path.with_name(f"{TEMPORARY}{drawn}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        for part in [*temporary.rglob("*"), temporary] if temporary.is_dir() else [temporary]:
            flush(part)
        old = path.with_name(f"{temporary.name}-old")
        if temporary.is_dir() and path.is_dir():  # a folder cannot replace one that holds something
            path.rename(old)
        os.replace(temporary, path)
        flush(path.parent)
        _remove(old)
    except OSError as error:
        raise unwritable(error, path) from error
    finally:
        _remove(temporary)


@contextmanager
def asked_for(path: Path) -> Iterator[Path]:
    """As `unfinished`, for a file that somebody named: one that cannot be written is found out at once.

    Raises:
        InputError: it is a folder.
        ResourceError: as `unfinished`.
    """
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a file to write")
    with unfinished(path) as temporary:
        temporary.touch()
        yield temporary


def remove_unfinished(folder: Path, name: str = "") -> None:
    """Remove what killed writers of paths that end in `name` left in a folder; only while no other is at work there."""
    for path in folder.glob(f"{TEMPORARY}*{name}"):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def unwritable(error: OSError, path: Path) -> ResourceError:
    """An error of the system at writing a file, in words."""
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(path.parent).free
        return ResourceError(f"{path}: the disk is full ({free:,} bytes free); make room or choose another folder")
    return ResourceError(
        f"{path}: cannot be written ({error.strerror or error}); choose a folder that you may write to"
    )
