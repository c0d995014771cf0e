"""Draws of every row in every sweep, filled batch by batch: in any order, by any number of processes, over any time.

A draw is a function of (seed, sweep, row) and of the rows that share its batch, whose borders are fixed. So what is
filled later, or elsewhere, is bit for bit what an uninterrupted evaluation would have found.
"""

from __future__ import annotations

import glob
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnadiff.config import differences
from dnadiff.errors import InputError
from dnadiff.files import remove_unfinished, unfinished
from dnadiff.world import WORK_PATIENCE, World, gathered, joined

SAVE_SECONDS = 30.0


class Shard(NamedTuple):
    """Every `n_shards`-th batch, from batch `number` - 1 on."""

    number: int = 1
    n_shards: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`2/8`: the second of eight.

        Raises:
            InputError: anything else.
        """
        number, _, count = text.partition("/")
        if not (number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
            raise InputError(f"--shard {text}: write it as NUMBER/COUNT, such as 1/4")
        shard = cls(int(number), int(count))
        if not 1 <= shard.number <= shard.n_shards:
            raise InputError(f"--shard {text}: the number must be 1 to {count}")
        return shard

    def part(self, here: World) -> Shard:
        """What falls to one of the processes that share it."""
        return Shard(self.number + self.n_shards * here.rank, self.n_shards * here.size)


@dataclass(frozen=True)
class Draws:
    """What has been drawn.

    Attributes:
        nats: (sweeps, rows) float64.
        n_scored: (rows,) int64 letters.
        done: (sweeps, batches) bool; elsewhere the other two hold zeros.
        batch_size: rows in a batch.
    """

    nats: np.ndarray
    n_scored: np.ndarray
    done: np.ndarray
    batch_size: int

    @classmethod
    def empty(cls, sweeps: int, n_rows: int, batch_size: int) -> Draws:
        done = np.zeros((sweeps, -(-n_rows // batch_size)), bool)
        return cls(np.zeros((sweeps, n_rows)), np.zeros(n_rows, np.int64), done, batch_size)

    def rows(self, batch: int) -> np.ndarray:
        """(n,) numbers of the rows of a batch."""
        return np.arange(batch * self.batch_size, min((batch + 1) * self.batch_size, len(self.n_scored)))

    def missing(self, shard: Shard, sweep: int) -> Iterator[int]:
        """Batches of a shard that are still to be drawn in a sweep."""
        return (batch for batch in self._share(shard).tolist() if not self.done[sweep, batch])

    def put(self, sweep: int, batch: int, nats: np.ndarray, n_scored: np.ndarray) -> None:
        rows = self.rows(batch)
        self.nats[sweep, rows], self.n_scored[rows], self.done[sweep, batch] = nats, n_scored, True

    def n_done(self, shard: Shard) -> int:
        """Rows of a shard that are drawn, over all sweeps."""
        return sum(len(self.rows(batch)) for sweep in self.done for batch in self._share(shard) if sweep[batch])

    def n_rows(self, shard: Shard) -> int:
        """Rows of a shard, over all sweeps."""
        return len(self.done) * sum(len(self.rows(batch)) for batch in self._share(shard))

    def merge(self, other: Draws) -> None:
        """Take what another has drawn."""
        for sweep, batch in zip(*other.done.nonzero(), strict=True):
            rows = other.rows(batch)
            self.put(sweep, batch, other.nats[sweep, rows], other.n_scored[rows])

    def _share(self, shard: Shard) -> np.ndarray:
        return np.arange(shard.number - 1, self.done.shape[1], shard.n_shards)


class DrawsFile:
    """Draws beside an output, so that the same command goes on where it was killed."""

    def __init__(self, path: Path, claim: Mapping[str, Any]) -> None:
        """`claim`: everything that a draw depends on."""
        self.path, self._claim = path, json.loads(json.dumps(claim))
        self._saved = time.monotonic()

    def load(self, into: Draws) -> None:
        """Merge what was saved, if anything was.

        Raises:
            InputError: the file is damaged, or holds draws of another evaluation; the message says what differs.
        """
        if not self.path.exists():
            return
        try:
            with self.path.open("rb") as handle, np.load(handle, allow_pickle=False) as file:
                claim = json.loads(str(file["claim"]))
                found = Draws(file["nats"], file["n_scored"], file["done"], into.batch_size)
        except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.path}: cannot be read ({error}); remove it, and all is drawn again") from None
        changed = differences(claim, self._claim)
        if changed:
            raise InputError(
                f"{self.path}: holds draws of another evaluation ({', '.join(changed[:6])}); choose another --out or "
                "remove it"
            )
        into.merge(found)

    @contextmanager
    def keeping(self, draws: Draws) -> Iterator[Callable[[], None]]:
        """Load at the start, save at the end, however it ends; gives a function that saves if the last time is old.

        Raises:
            InputError: as `load`.
            ResourceError: the file cannot be written.
        """
        remove_unfinished(self.path.parent, glob.escape(f"-{self.path.name}"))
        self.load(draws)
        self._save(draws)  # a place that cannot be written is found out before anything is drawn
        try:
            yield lambda: self._save_if_due(draws)
        finally:
            self._save(draws)

    def _save_if_due(self, draws: Draws) -> None:
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._save(draws)

    def _save(self, draws: Draws) -> None:
        with unfinished(self.path) as temporary, temporary.open("wb") as file:
            np.savez(file, nats=draws.nats, n_scored=draws.n_scored, done=draws.done, claim=json.dumps(self._claim))
        self._saved = time.monotonic()


def output_file(out: str | None, shard: Shard) -> Path | None:
    """The file that `--out` asks for, if it is one.

    Raises:
        InputError: it is a folder, or shards have no file beside which they meet.
    """
    if out in (None, "-"):
        if shard != Shard():
            raise InputError("--shard: needs --out FILE, the same for all shards: beside it they keep what they draw")
        return None
    file = Path(str(out)).expanduser()
    if file.is_dir():
        raise InputError(f"{file}: is a folder; name a file to write")
    return file


def fill_together(
    draws: Draws,
    shard: Shard,
    out: Path | None,
    claim: Callable[[], Mapping[str, Any]],
    fill: Callable[[Shard, Callable[[], None]], None],
) -> bool:
    """Fill a shard, each process its part of it, and take what other shards have left beside the output.

    Args:
        out: output file; None keeps nothing.
        claim: everything that a draw depends on.
        fill: fills a part, and calls what it is given whenever draws can be kept.

    Returns:
        Whether it falls to this process to write and print.

    Raises:
        InputError: as `DrawsFile.load`.
        ResourceError: files cannot be written, or another process is gone.
    """
    with joined(WORK_PATIENCE) as here:
        part = shard.part(here)
        kept = {} if out is None else _shard_files(out, part.n_shards, claim())
        with kept[part.number].keeping(draws) if kept else nullcontext(lambda: None) as save:
            fill(part, save)
        for others in gathered(draws):
            draws.merge(others)
    for other in kept.values() if here.is_first else ():
        other.load(draws)
    return here.is_first


def _shard_files(out: Path, count: int, claim: Mapping[str, Any]) -> dict[int, DrawsFile]:
    """The file of each shard by number, beside the output."""
    names = {number: f"{out.name}.draws-{number}-of-{count}.npz" for number in range(1, count + 1)}
    return {number: DrawsFile(out.with_name(name), claim) for number, name in names.items()}
