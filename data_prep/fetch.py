"""Get one public file over HTTP: resume what was cut, verify what came, and only then give it its name.

While it comes it is called `NAME.part`; beside the finished file lies `NAME.json` with its address, size and checksums.
Standard library only: the programs of this folder run without the package.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

BLOCK_BYTES = 1 << 20
TIMEOUT_S = 60
N_TRIES = 6


class FetchError(Exception):
    """The file could not be had; the message says why and what to do."""


class CutError(Exception):
    """The connection ended before the file did."""


def fetch(
    url: str,
    to: Path,
    *,
    md5: str | None = None,
    sha256: str | None = None,
    licence: str | None,
    first_wait_s: float = 1.0,
) -> None:
    """Get `url` as the file `to`; what a former run began is continued, what it finished is only verified.

    Args:
        url: http or https address.
        to: the finished file; its folder is made.
        md5, sha256: hex digest that it must have, either of them; anything else never gets the name `to`. Where none is
            published, a file that is there already must have the one that was recorded when it came.
        licence: one line for the record; None where the caller records many files in one.
        first_wait_s: pause before the second try, in seconds; it doubles with each further one.

    Raises:
        FetchError: refused, cut too often, a web page instead of the file, wrong checksum, or no room on the disk.
    """
    expected = ("md5", md5) if md5 else ("sha256", sha256 or _recorded(to))
    if to.exists():
        _verify(to, *expected, mend="remove it and run again")
    else:
        to.parent.mkdir(parents=True, exist_ok=True)
        part = to.with_name(f"{to.name}.part")
        _complete(url, part, first_wait_s)
        try:
            _verify(part, *expected, mend="what came is removed; run again, or ask whoever keeps the address")
        except FetchError:
            part.unlink()
            raise
        os.replace(part, to)
    if licence is not None:
        write_record(to, url=url, licence=licence)


def fetch_text(url: str, *, max_bytes: int = 1 << 24) -> str:
    """A small text from the web.

    Raises:
        FetchError: refused, cut, a web page, or larger than `max_bytes`.
    """
    try:
        with _open(url, start=0) as response:
            data = response.read(max_bytes + 1)
            _refuse_pages(url, response, data)
            announced = response.headers.get("Content-Length", str(len(data)))
    except (OSError, HTTPException) as error:
        raise FetchError(f"{url}: {error}; try again later") from None
    if len(data) > max_bytes or len(data) < int(announced):
        raise FetchError(f"{url}: found {len(data):,} of {announced} bytes, at most {max_bytes:,} are read; try again")
    return data.decode("utf-8", "replace")


def write_record(path: Path, **more: object) -> None:
    """Write `NAME.json` beside a file: its size, its checksums, and whatever else is given."""
    sums = {"n_bytes": path.stat().st_size, "md5": digest(path, "md5"), "sha256": digest(path, "sha256")}
    replace_text(path.with_name(f"{path.name}.json"), json.dumps({**more, **sums}, indent=2) + "\n")


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


def digest(path: Path, algorithm: str) -> str:
    """Hex digest of a file's bytes; `algorithm` is a name that hashlib knows."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _recorded(path: Path) -> str | None:
    """The sha256 that `write_record` noted of a file that is there."""
    record = path.with_name(f"{path.name}.json")
    return str(json.loads(record.read_text())["sha256"]) if path.exists() and record.exists() else None


def _verify(path: Path, algorithm: str, expected: str | None, *, mend: str) -> None:
    if expected is not None and (found := digest(path, algorithm)) != expected:
        raise FetchError(f"{path}: its {algorithm} is {found}, not {expected}; {mend}")


def _complete(url: str, part: Path, wait_s: float) -> None:
    """Append to `part` until nothing is missing; tries that got further do not count."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            return _append(url, part, before)
        except (CutError, URLError, TimeoutError, ConnectionError, HTTPException) as error:
            reached = part.stat().st_size if part.exists() else 0
            failures = 1 if reached > before else failures + 1
            if isinstance(error, HTTPError) and error.code < 500:
                raise FetchError(f"{url}: {error}; check the address") from None
            if failures == N_TRIES:
                raise FetchError(f"{url}: {error} at {reached:,} bytes; run again to go on from there") from None
            time.sleep(wait_s * 2 ** (failures - 1))


def _append(url: str, part: Path, start: int) -> None:
    """One connection: append what follows the first `start` bytes; a server that cannot do that sends all again."""
    try:
        response = _open(url, start=start)
    except HTTPError as error:
        if error.code == 416 and start:  # nothing follows: all is here, which the checksum will confirm
            return
        raise
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
        here = start if resumed else 0
        total = here + int(response.headers.get("Content-Length", "0"))
        _refuse_full_disk(part, total - here)
        with part.open("ab" if resumed else "wb") as file:
            while block := response.read(BLOCK_BYTES):
                if here == 0:
                    _refuse_pages(url, response, block)
                file.write(block)
                here += len(block)
                _show(part, here, total)
    if here < total:
        raise CutError(f"cut, {total - here:,} bytes are missing")


def _open(url: str, *, start: int) -> HTTPResponse:
    if not url.startswith(("http://", "https://")):
        raise FetchError(f"{url}: not a web address; write http:// or https://")
    request = Request(url, headers={"User-Agent": "dnadiff", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response: HTTPResponse = urlopen(request, timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        raise
    return response


def _refuse_pages(url: str, response: HTTPResponse, first: bytes) -> None:
    """A login or error page with status 200 must not pass for data."""
    is_page = first.lstrip()[:9].lower().startswith((b"<!doctype", b"<html"))
    if is_page or response.headers.get_content_type() == "text/html":
        raise FetchError(f"{url}: a web page came instead of the file; open the address in a browser to see why")


def _refuse_full_disk(part: Path, n_bytes: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if n_bytes > free:
        raise FetchError(f"{part.parent}: {n_bytes:,} bytes are needed and {free:,} are free; make room or set --out")


def _show(part: Path, here: int, total: int) -> None:
    """Progress, on a terminal only."""
    if sys.stderr.isatty():
        share = f"{here / total:6.1%}" if total else ""
        print(f"\r{part.name} {here / 1e6:,.0f} MB {share}", end="" if here < total else "\n", file=sys.stderr)
