"""Where the bases of a FASTA file are: from records and positions to bytes, and how many bases are unknown.

Bases of all records, end to end, form one axis ("laid end to end" below); runs of N are kept on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Index:
    """Where the bases of a FASTA file are.

    Attributes:
        names: of the records, in file order.
        lengths, offsets: (records,) int64, bases of each record and the byte of its first base.
        line_bases, line_bytes: (records,) int64, bases of a full line, and its bytes with the line end.
        unknown: (runs, 2) int64, start and end of each run of unknown bases, all records laid end to end; ascending.
        symbols: counts of what is not a plain capital base.
        sha256: of the file's bytes.
    """

    names: tuple[str, ...]
    lengths: Ints
    offsets: Ints
    line_bases: Ints
    line_bytes: Ints
    unknown: Ints
    symbols: dict[str, int]
    sha256: str

    @cached_property
    def starts(self) -> Ints:
        """(records + 1,) int64: where each record begins when all are laid end to end, and the total."""
        return np.concatenate([[0], np.cumsum(self.lengths)]).astype(np.int64)

    def byte_at(self, records: Ints, positions: Ints) -> Ints:
        """(n,) int64: the byte of each base; positions are 0-based within their record."""
        line_bases = self.line_bases[records]
        lines, columns = positions // line_bases, positions % line_bases
        place: Ints = self.offsets[records] + lines * self.line_bytes[records] + columns
        return place

    def count_unknown(self, records: Ints, starts: Ints, length: int) -> Ints:
        """(n,) int64: unknown bases in each window start to start + length."""
        begin = self.starts[records] + starts
        return self._unknown_before(begin + length) - self._unknown_before(begin)

    def _unknown_before(self, positions: Ints) -> Ints:
        """(n,) int64: linear between the ends of runs, so interpolation is exact."""
        edges, counts = self._unknown_steps
        return np.interp(positions, edges, counts).astype(np.int64)

    @cached_property
    def _unknown_steps(self) -> tuple[Ints, Ints]:
        """Both (1 + 2 * runs,): the beginning and each start and end of a run, and the unknown bases before it."""
        lengths = self.unknown[:, 1] - self.unknown[:, 0]
        until = np.cumsum(lengths)
        counts = np.column_stack([until - lengths, until])
        return np.concatenate([[0], self.unknown.ravel()]), np.concatenate([[0], counts.ravel()])
