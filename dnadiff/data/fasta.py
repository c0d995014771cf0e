"""A genome in a FASTA file: windows of tokens straight from a memory map, without a Python string per base.

What a FASTA file may hold, and what is refused, is in `scan` and in `dnadiff.dna`; how the index is kept, and when it
is trusted, in `indexed`. Nothing is written beside the FASTA.
"""

from __future__ import annotations

import logging
import mmap
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dnadiff.cache import cache_folder
from dnadiff.data.index import Index, Ints
from dnadiff.data.indexed import Identity, indexed, warn_of_stale_fai
from dnadiff.data.inputs import find_file
from dnadiff.data.scan import SYMBOL_CODE, SYMBOL_U
from dnadiff.dna import ENCODE, INVALID
from dnadiff.errors import InputError, nearest
from dnadiff.files import sha256
from dnadiff.vocab import DNA

log = logging.getLogger(__name__)
CACHED_BP = 1 << 18  # windows are read in pieces that stay in the processor's cache
Tokens = NDArray[np.uint8]
SoftMasked = Literal["bases", "unknown"]
_IS_LOWER = (ENCODE != INVALID) & (np.arange(256) >= ord("a"))
_TABLES: dict[SoftMasked, bytes] = {
    "bases": ENCODE.tobytes(),
    "unknown": np.where(_IS_LOWER, np.uint8(DNA.unknown), ENCODE).tobytes(),
}


class Genome:
    """A FASTA file, read window by window; safe under threads and fork, and pickled as its path and index.

    Attributes:
        path: as the user named it.
        index: of the plain file.
        soft_masked: what tokens of lower-case bases are.
    """

    def __init__(
        self, path: Path, plain: Path, identity: Identity, index: Index, soft_masked: SoftMasked = "bases"
    ) -> None:
        """Use `Genome.open`; `plain` is the uncompressed file, `identity` what it was when it was scanned."""
        self.path = path
        self.index = index
        self.soft_masked: SoftMasked = soft_masked
        self._plain = plain
        self._identity = identity
        self._map: memoryview | None = None

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        cache: Path | None = None,
        obeys_codes: bool = False,
        soft_masked: SoftMasked = "bases",
    ) -> Genome:
        """Open a FASTA file, plain or compressed; the first time, the whole file is read and checked.

        Args:
            path: of the file; `~` is expanded.
            cache: folder for the index; None for the user's.
            obeys_codes: the caller reads IUPAC codes as what they mean, in `text`, so that there is nothing to warn of.
            soft_masked: read lower-case bases as the bases they are, or as unknown.

        Raises:
            InputError: no such file, not a FASTA file, or one that cannot be read without guessing.
            ResourceError: the cache cannot be written, or has no room for the unpacked file.
        """
        source = find_file(path)
        genome = cls(source, *indexed(source, cache or cache_folder()), soft_masked)
        for symbol, count in genome.warnings.items():
            if not (obeys_codes and symbol == SYMBOL_CODE):
                log.warning("%s: %s: %s", source, symbol, f"{count:,}")
        warn_of_stale_fai(source, genome.index)
        return genome

    @cached_property
    def contigs(self) -> dict[str, int]:
        """Length in bases by name, in file order."""
        return dict(zip(self.index.names, self.index.lengths.tolist(), strict=True))

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each contig in file order, as `read` takes it."""
        return {name: number for number, name in enumerate(self.index.names)}

    @property
    def warnings(self) -> dict[str, int]:
        """Counts of symbols that were read as another."""
        return {symbol: n for symbol in (SYMBOL_U, SYMBOL_CODE) if (n := self.index.symbols[symbol])}

    def fingerprint(self) -> str:
        """sha256 of the (unpacked) file."""
        return self.index.sha256

    def tokens(self, contig: str, start: int, end: int) -> Tokens:
        """(end - start,) uint8: tokens of bases start to end, 0-based, half-open.

        Raises:
            InputError: no such contig, or a window that is empty or reaches past an end of it.
        """
        row: Tokens = self.read(self._number(contig), np.array([start]), end - start)[0]
        return row

    def text(self, contig: str, start: int, end: int) -> str:
        """Bases start to end as they stand in the file: in its case, with U and IUPAC codes; errors as in `tokens`."""
        number = self._number(contig)
        self._check_bounds(number, np.array([start]), end - start)
        first, last = (int(self.index.byte_at(number, np.array([at]))[0]) for at in (start, end - 1))
        return bytes(self._bytes()[first : last + 1]).translate(None, b"\r\n").decode("ascii")

    def read(self, contigs: Ints, starts: Ints, length: int) -> Tokens:
        """Windows of one length, (n, length) uint8, a copy.

        Args:
            contigs: (n,) numbers of contigs.
            starts: (n,) first bases.
            length: bases in each window.

        Raises:
            InputError: a window is empty or reaches past an end of its contig, or the file is no longer what it was.
        """
        self._check_bounds(contigs, starts, length)
        begin = self.index.byte_at(contigs, starts).tolist()
        end = (self.index.byte_at(contigs, starts + (length - 1)) + 1).tolist()
        data, table, tokens = self._bytes(), _TABLES[self.soft_masked], np.empty((len(starts), length), np.uint8)
        at_once = max(1, CACHED_BP // length)
        for row in range(0, len(starts), at_once):
            rows = slice(row, row + at_once)
            text = b"".join([data[i:j] for i, j in zip(begin[rows], end[rows], strict=True)])
            tokens[rows] = np.frombuffer(text.translate(table, b"\r\n"), np.uint8).reshape(-1, length)
        return tokens

    def share_unknown(self, contigs: Ints, starts: Ints, length: int) -> NDArray[np.float64]:
        """(n,) float64: the share of unknown bases in each window: from the index, which has no lower case, or read."""
        if self.soft_masked == "bases":
            return self.index.count_unknown(contigs, starts, length) / length
        at_once = max(1, CACHED_BP // length)
        parts = [slice(row, row + at_once) for row in range(0, len(starts), at_once)]
        read = [(self.read(contigs[rows], starts[rows], length) == DNA.unknown).mean(axis=1) for rows in parts]
        return np.concatenate([np.empty(0), *read])

    def _number(self, contig: str) -> Ints:
        """(1,), as `read` takes it."""
        if contig not in self.numbers:
            raise InputError(f"{self.path}: no contig {contig!r}{nearest(contig, self.contigs)}")
        return np.array([self.numbers[contig]])

    def _check_bounds(self, contigs: Ints, starts: Ints, length: int) -> None:
        wrong = (starts < 0) | (starts + length > self.index.lengths[contigs])
        if length > 0 and not wrong.any():
            return
        at = int(wrong.argmax())
        name, start = self.index.names[int(contigs[at])], int(starts[at])
        raise InputError(
            f"{self.path}: {name}:{start}-{start + length} is not inside {name} (0-{self.contigs[name]}); "
            "a window has at least one base and never reaches past its contig"
        )

    def _bytes(self) -> memoryview:
        """The whole file, mapped once in each process, after a look whether it is still the one that was scanned."""
        try:
            found: Identity | None = Identity.of(self._plain)
        except OSError:
            found = None
        if found != self._identity:
            if found is None or not self._is_the_same(found):
                raise InputError(
                    f"{self.path}: the file was changed, replaced or removed while it was in use; start again"
                )
            self._identity = found
        if self._map is None:
            with self._plain.open("rb") as handle:
                self._map = memoryview(mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ))
        return self._map

    def _is_the_same(self, found: Identity) -> bool:
        """Whether ctime alone changed, as by chmod or a hard link; an edit can hide its mtime too, so all is read."""
        return found[:3] == self._identity[:3] and sha256(self._plain) == self.index.sha256

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}
