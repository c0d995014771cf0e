"""Files that a user names: found or refused with a reason, and read through gzip or bgzip compression.

Compression is told by the file's first bytes, not by its name.
"""

from __future__ import annotations

import gzip
import re
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dnadiff.errors import InputError, ResourceError

BLOCK_BYTES = 1 << 20
LONGEST_LINE_BYTES = 1 << 27  # no more is held of what a few compressed bytes may unpack to
SMALLEST_GROWTH = 3  # DNA text unpacks to 3 to 5 times the size of its gzip file
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def find_file(path: str | Path) -> Path:
    """An existing regular file; `~` is expanded.

    Raises:
        InputError: a URL, no such file, a folder, a pipe.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise InputError(f"{path}: is a URL; download the file first and give its path")
    try:
        found = Path(path).expanduser()
        mode = found.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{path}: is a folder; give the path of a file")
        if not stat.S_ISREG(mode):
            raise InputError(f"{path}: is not a regular file (a pipe or device); write it to a file first")
        with found.open("rb"):
            return found
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(f"{path}: cannot be read ({reason}); check the path") from None


def absolute(path: str | None) -> str | None:
    """An absolute path; what looks like a URL, or names the home of nobody, is left for the reader to refuse."""
    if path is None or "://" in path:
        return path
    with suppress(RuntimeError):
        return str(Path(path).expanduser().absolute())
    return path


def is_gzip(path: Path) -> bool:
    """Whether a file is compressed with gzip or bgzip, told by its first bytes."""
    with path.open("rb") as handle:
        return handle.read(2) == b"\x1f\x8b"


def unpack(source: Path, target: Path) -> None:
    """Write the content of a gzip or bgzip file.

    Raises:
        InputError: it is truncated or damaged.
        ResourceError: `target`'s disk has clearly no room for it.
    """
    needed, free = SMALLEST_GROWTH * source.stat().st_size, shutil.disk_usage(target.parent).free
    if free < needed:
        raise ResourceError(
            f"{source}: unpacked it needs at least {needed:,} bytes in {target.parent}, where {free:,} are free; "
            "free some, or name another cache folder with DNADIFF_CACHE=/path"
        )
    with target.open("wb") as out:
        for block in _gzip_blocks(source):
            out.write(block)


def lines(path: Path) -> Iterator[str]:
    """Lines of a text file, plain or compressed, without line ends of any kind.

    Raises:
        InputError: it is damaged, not UTF-8 text, or has a line that is longer than any text's.
    """
    pieces: list[bytes] = []  # of a line that has not ended yet
    encoding, n_bytes = "utf-8-sig", 0
    try:
        for block in _gzip_blocks(path) if is_gzip(path) else _plain_blocks(path):
            whole, end, rest = block.rpartition(b"\n")
            if end:
                text = b"".join([*pieces, whole, end]).replace(b"\r\n", b"\n").decode(encoding)
                yield from text.split("\n")[:-1]
                pieces, encoding, n_bytes = [], "utf-8", 0
            pieces.append(rest)
            n_bytes += len(rest)
            if n_bytes > LONGEST_LINE_BYTES:
                raise InputError(f"{path}: a line of more than {LONGEST_LINE_BYTES:,} bytes; break it up")
        if rest := b"".join(pieces):
            yield rest.decode(encoding).rstrip("\r")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 text ({error.reason}); save it as plain text") from None


def _plain_blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as handle:
        while block := handle.read(BLOCK_BYTES):
            yield block


def _gzip_blocks(path: Path) -> Iterator[bytes]:
    damaged = f"{path}: the compressed file is damaged or incomplete"
    mend = "download or copy it again, and try it with `gzip -t`"
    if _is_bgzip(path) and not _ends_with(path, _BGZIP_END):
        raise InputError(f"{damaged} (bgzip's end-of-file mark is missing); {mend}")
    try:
        with gzip.open(path) as handle:
            while block := handle.read(BLOCK_BYTES):
                yield block
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{damaged} ({error}); {mend}") from None


def _is_bgzip(path: Path) -> bool:
    """bgzip files are gzip files whose members carry their size; only they can end between members unnoticed."""
    with path.open("rb") as handle:
        start = handle.read(14)
    return len(start) == 14 and bool(start[3] & 4) and start[12:14] == b"BC"


def _ends_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as handle:
        handle.seek(max(0, path.stat().st_size - len(mark)))
        return handle.read() == mark
