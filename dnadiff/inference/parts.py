"""Long work in parts beside its output: a killed process goes on, shards meet, and the last one to finish writes.

Every shard has a file of records that only grows: one line that says what it is about, then the length and checksum of
each record and its bytes. A record that a killed process left half written is cut off. Record i is made by shard
i mod n, so that all records in order are read from all files in turn, one at a time in memory.
"""

from __future__ import annotations

import fcntl
import json
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from dnadiff.config import differences
from dnadiff.errors import InputError, ResourceError
from dnadiff.inference.draws import Shard

_HEAD = struct.Struct("<QI")  # bytes of a record, and their CRC-32


class _GoneError(Exception):
    """Records that were there are not: another shard has written the output and removed them."""


class Part:
    """What one shard has made."""

    def __init__(self, path: Path, claim: Mapping[str, Any]) -> None:
        """`claim`: everything that a record depends on."""
        self.path, self._claim = path, json.loads(json.dumps(claim))

    def count(self) -> int:
        """Whole records, 0 where there is no file; errors as in `records`."""
        try:
            return sum(1 for _ in self.records())
        except _GoneError:
            return 0

    def records(self) -> Iterator[bytes]:
        """Those that are whole.

        Raises:
            InputError: the file is damaged, or is about other work; the message says what differs.
        """
        try:
            file = self.path.open("rb")
        except FileNotFoundError as error:
            raise _GoneError from error
        with file:
            if self._check(file):
                yield from self._whole(file)

    @contextmanager
    def appending(self) -> Iterator[tuple[int, Callable[[bytes], None]]]:
        """How many records there are, and a function that adds one.

        Raises:
            InputError: as in `records`.
            ResourceError: it cannot be written, or another process is writing it.
        """
        with self._writable():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self.path.open("a+b")
        with file:
            with self._writable():
                _lock(file, self.path)
                n_records = self._mend(file)

            def append(record: bytes) -> None:
                with self._writable():
                    file.write(_HEAD.pack(len(record), zlib.crc32(record)) + record)
                    file.flush()

            yield n_records, append

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise ResourceError(
                f"{self.path}: cannot be written ({reason}); make room or choose another --out"
            ) from None

    def _mend(self, file: IO[bytes]) -> int:
        """Cut off what is not whole, and begin a new file; how many records there are."""
        file.seek(0)
        n_records = end = 0
        if self._check(file):
            end = file.tell()
            for record in self._whole(file):
                n_records, end = n_records + 1, end + _HEAD.size + len(record)
        file.truncate(end)
        if not end:
            file.write(json.dumps(self._claim).encode() + b"\n")
            file.flush()
        return n_records

    def _check(self, file: IO[bytes]) -> bool:
        """Whether there is a first line, which is then about this work."""
        line = file.readline()
        if not line.endswith(b"\n"):
            return False
        try:
            claim = json.loads(line)
        except ValueError:
            raise self._damaged() from None
        if changed := differences(claim, self._claim):
            raise InputError(
                f"{self.path}: holds parts of other work ({', '.join(changed[:6])}); choose another --out or remove it"
            )
        return True

    def _whole(self, file: IO[bytes]) -> Iterator[bytes]:
        left = self.path.stat().st_size - file.tell()
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            size, checksum = _HEAD.unpack(head)
            left -= _HEAD.size + size
            if left < 0:  # so that no damaged length is read
                return
            record = file.read(size)
            if zlib.crc32(record) != checksum:
                raise self._damaged()
            yield record

    def _damaged(self) -> InputError:
        return InputError(f"{self.path}: is damaged; remove it, and all is made again")


class Parts(NamedTuple):
    """All records of some work, made by any number of shards.

    Attributes:
        files: of each shard, in order.
        n: records.
    """

    files: list[Part]
    n: int

    @classmethod
    def beside(cls, out: Path, n_shards: int, claim: Mapping[str, Any], n: int) -> Parts:
        """Files named after an output."""
        names = (f"{out.name}.part-{number}-of-{n_shards}" for number in range(1, n_shards + 1))
        return cls([Part(out.with_name(name), claim) for name in names], n)

    def share(self, shard: Shard) -> int:
        """How many records a shard makes."""
        return len(self._own(shard.number))

    def fill(self, shard: Shard, make: Callable[[int], bytes], advance: Callable[[int], None]) -> None:
        """Make what is missing of a shard's records; errors as in `Part.appending`."""
        with self.files[shard.number - 1].appending() as (n_done, append):
            advance(n_done)
            for number in self._own(shard.number)[n_done:]:
                append(make(number))
                advance(1)

    def complete(self) -> bool:
        """Whether every shard has made its records."""
        return all(part.count() == len(self._own(number)) for number, part in enumerate(self.files, 1))

    def finish(self, write: Callable[[], None]) -> bool:
        """Where all records are made: have the output written, then remove them; whether that is so.

        Of shards that end together each may write, the same bytes; one that finds the records gone was forestalled.
        """
        if not self.complete():
            return False
        with suppress(_GoneError):
            write()
            self.remove()
        return True

    def records(self) -> Iterator[bytes]:
        """All in order, once they are complete."""
        sources = [part.records() for part in self.files]
        for number in range(self.n):
            yield next(sources[number % len(sources)])

    def remove(self) -> None:
        """When the output is written."""
        for part in self.files:
            part.path.unlink(missing_ok=True)

    def _own(self, number: int) -> range:
        return range(number - 1, self.n, len(self.files))


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ResourceError(f"{path}: another process is at work on it; wait for it or choose another --out") from None
