"""The user's cache folder, and files in it that are whole or absent: locked while built, put in place in one step."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dnadiff.errors import ResourceError

log = logging.getLogger(__name__)
ORPHAN_AGE_S = 24 * 3600


def cache_folder() -> Path:
    """Where derived files are kept; it exists and can be written.

    `DNADIFF_CACHE` wins, then `XDG_CACHE_HOME/dnadiff`, then `~/.cache/dnadiff`; where these cannot be written (a
    read-only home), a private folder among the temporary files, with a warning.

    Raises:
        ResourceError: DNADIFF_CACHE names a folder that cannot be made or written.
    """
    chosen = os.environ.get("DNADIFF_CACHE")
    if chosen:
        return writable_folder(Path(chosen))
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    try:
        return writable_folder(Path(home) / "dnadiff")
    except ResourceError as error:
        fallback = _private_temporary()
        log.warning("%s; using %s, which may not outlive this machine's next start", error, fallback)
        return fallback


def writable_folder(folder: Path) -> Path:
    """The folder, made if absent.

    Raises:
        ResourceError: it cannot be made or written.
    """
    folder = folder.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        usable = False
    if not usable:
        raise ResourceError(f"{folder}: cannot write here; name a writable cache folder with DNADIFF_CACHE=/path")
    return folder


def _private_temporary() -> Path:
    """A folder of this user alone: a foreign one of the same name could hold planted files."""
    folder = Path(tempfile.gettempdir()) / f"dnadiff-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if found.st_uid == os.getuid() and found.st_mode & 0o777 == 0o700 and folder.is_dir():
            return folder
    return Path(tempfile.mkdtemp(prefix="dnadiff-"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold `<path>.lock`, so that several processes build a file once; the kernel frees it when its holder dies.

    Only work is saved by the lock: `replacing` alone keeps files whole, so a file system without locks is served too.
    """
    with path.with_name(path.name + ".lock").open("ab") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place, synced to disk, if the block ends well; else it is removed.

    Raises:
        ResourceError: the disk is full.
    """
    _sweep_orphans(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise
        free = shutil.disk_usage(path.parent).free
        raise ResourceError(
            f"{path.parent}: no room for {path.name} ({free:,} bytes free); "
            "free some, or name another cache folder with DNADIFF_CACHE=/path"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)


def _sweep_orphans(path: Path) -> None:
    """Remove what killed builders left; only old files, since without locks a young one may be in use."""
    for orphan in path.parent.glob(f".{path.name}.*"):
        with suppress(OSError):
            if time.time() - orphan.stat().st_mtime > ORPHAN_AGE_S:
                orphan.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
