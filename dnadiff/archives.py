"""Archives of others: opened only where that can do no harm, and never unpacked to the disk."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import torch

from dnadiff.errors import ResourceError

MOST_LIST_BYTES = 40 << 20  # of the list of members, 46 and a name for each: fewer than a million
MOST_GROWTH = 100  # text grows three- to tenfold as it is unpacked
HARMLESS_BYTES = 1 << 26
SAFE_TORCH = "2.10"  # before it, `weights_only` let hostile files write beyond their memory (CVE-2026-24747)


def open_zip(path: Path) -> zipfile.ZipFile:
    """An archive that can be read in bounded time and memory.

    Raises:
        zipfile.BadZipFile: it is none, lists a million members, or is a bomb that unpacks to a thousandfold.
    """
    with _ShortReads(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
        n_bytes = sum(member.file_size for member in archive.infolist())
    if n_bytes > max(HARMLESS_BYTES, MOST_GROWTH * path.stat().st_size):
        raise zipfile.BadZipFile(f"it would unpack to {n_bytes:,} bytes, more than {MOST_GROWTH} times its size")
    return zipfile.ZipFile(path)


def require_safe_torch() -> None:
    """Before a pickle is read.

    Raises:
        ResourceError: the installed torch cannot do so safely.
    """
    if torch.__version__ < SAFE_TORCH:
        raise ResourceError(
            f"torch {torch.__version__} may run what a checkpoint hides; pip install 'torch>={SAFE_TORCH}'"
        )


class _ShortReads(io.BufferedReader):
    """A file of which nothing large is read at once; the list of members is read at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MOST_LIST_BYTES:
            raise zipfile.BadZipFile(f"its list of members has {size:,} bytes, more than {MOST_LIST_BYTES:,}")
        return super().read(size)
