"""The user's cache folder, and locks for building files in it."""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dnadiff.errors import ResourceError
from dnadiff.files import remove_unfinished

log = logging.getLogger(__name__)


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
    """Hold `<path>.lock`, so that several processes build files that begin with `path` once.

    The kernel frees the lock when its holder dies; what such a one left unfinished is removed. Only work is saved by
    the lock, as `dnadiff.files.unfinished` keeps files whole by itself, so a file system without locks is served too.
    """
    with path.with_name(f"{path.name}.lock").open("ab") as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
            for end in ("", ".*", "-old"):
                remove_unfinished(path.parent, f"-{glob.escape(path.name)}{end}")
        yield
