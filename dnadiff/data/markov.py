"""What counting alone can know: Markov baselines of order 0 to 11.

Both strands of the training pieces are counted. Each order is smoothed towards the next lower one,
p_k(x | c) = (n(c, x) + w_k p_{k-1}(x | c')) / (n(c) + w_k), where c' is c without its oldest base and p_{-1} = 1/4. The
prior weights w_k and the best order are chosen on validation pieces, never on those that are scored. Order k scores a
base when it and the k bases before it are letters of one piece; the pieces are cut every 4 Mb, which loses k bases at
each cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dnadiff.dna import encode
from dnadiff.errors import InputError
from dnadiff.vocab import DNA

MAX_ORDER = 11  # 4**12 counts are 128 MiB
PRIOR_WEIGHTS = (0.5, 2.0, 8.0, 32.0, 128.0, 512.0, 2048.0)
CHUNK_BASES = 2**22  # counted or scored at a time, so that memory does not grow with the genome
TUNE_BASES = 2**22  # validation bases that tuning looks at

LETTER_INDEX = np.full(256, -1, dtype=np.int32)  # token -> 0..3 for A C G T, -1 for all others
LETTER_INDEX[list(DNA.letters)] = range(DNA.n_letters)


class MarkovScore(NamedTuple):
    """Cross-entropy of one order on some pieces."""

    order: int
    bits_per_base: float
    n_scored: int


@dataclass(frozen=True)
class MarkovModel:
    """Counts of every order up to the highest, and how they are smoothed.

    Attributes:
        counts: counts[k] is (4**k, 4) int64: contexts, oldest base first, by the letter that follows.
        prior_weights: w_k of each order, in pseudo-counts.
        best_order: the order with the fewest bits on the validation pieces; None before `tune`.
    """

    counts: tuple[np.ndarray, ...]
    prior_weights: tuple[float, ...]
    best_order: int | None = None

    @property
    def max_order(self) -> int:
        return len(self.counts) - 1

    @cached_property
    def context_counts(self) -> tuple[np.ndarray, ...]:
        """context_counts[k] is (4**k,) int64: n(c)."""
        return tuple(table.sum(axis=1) for table in self.counts)

    def log_probs(self, tokens: np.ndarray, order: int) -> np.ndarray:
        """(length,) float64 nats: log p of each base given the `order` bases before it, nan where not scored.

        Raises:
            InputError: an order that was not counted.
        """
        *_, probs = self._probs_by_order(tokens, order)
        log_probs = np.full(len(tokens), np.nan)
        np.log(probs, out=log_probs[len(tokens) - len(probs) :])
        return log_probs

    def bits_per_base(self, pieces: Iterable[np.ndarray], order: int) -> MarkovScore:
        """Mean bits of one order on pieces of tokens, each (length,) uint8; errors as in `bits_by_order`."""
        return self.bits_by_order(pieces, order)[order]

    def bits_by_order(self, pieces: Iterable[np.ndarray], max_order: int | None = None) -> list[MarkovScore]:
        """Mean bits of each order, 0 to `max_order` (None: the highest), in one pass over the pieces.

        Raises:
            InputError: an order that was not counted, or an order with no base to score.
        """
        return by_order(self.bits_and_bases(pieces, max_order))

    def bits_and_bases(self, pieces: Iterable[np.ndarray], max_order: int | None = None) -> np.ndarray:
        """(orders, 2): all bits of each order, 0 to `max_order`, and the bases they are of; sums can be added.

        Raises:
            InputError: an order that was not counted.
        """
        highest = self.max_order if max_order is None else max_order
        sums = np.zeros((highest + 1, 2))
        for chunk in _chunks(pieces, CHUNK_BASES):
            sums += [_bits_and_bases(probs) for probs in self._probs_by_order(chunk, highest)]
        return sums

    def tune(self, valid_pieces: Iterable[np.ndarray]) -> MarkovModel:
        """The same counts with the prior weights and the order that are best on validation pieces (their first 4 Mb).

        Raises:
            InputError: an order with no base to score.
        """
        chunk = next(_chunks(valid_pieces, TUNE_BASES), np.empty(0, dtype=np.uint8))
        probs = np.full(len(chunk) + 1, 0.25)
        weights, bits = [], []
        for order, codes in enumerate(_windows(chunk, self.max_order + 1)):
            seen = self._look_up(order, codes)
            trials = [_score(order, *_bits_and_bases(_smooth(*seen, probs[1:], w))) for w in PRIOR_WEIGHTS]
            best = int(np.argmin([trial.bits_per_base for trial in trials]))
            probs = _smooth(*seen, probs[1:], PRIOR_WEIGHTS[best])
            weights.append(PRIOR_WEIGHTS[best])
            bits.append(trials[best].bits_per_base)
        return replace(self, prior_weights=tuple(weights), best_order=int(np.argmin(bits)))

    def _probs_by_order(self, tokens: np.ndarray, highest: int) -> Iterator[np.ndarray]:
        """For each order k to `highest`, (length - k,) float64: p of the bases from k on, nan where not scored."""
        if not 0 <= highest <= self.max_order:
            raise InputError(f"order {highest}: orders 0 to {self.max_order} were counted; choose one of these")
        probs = np.full(len(tokens) + 1, 0.25)
        for order, codes in enumerate(_windows(tokens, highest + 1)):
            probs = _smooth(*self._look_up(order, codes), probs[1:], self.prior_weights[order])
            yield probs

    def _look_up(self, order: int, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(length,) float64 each: n(c, x) and n(c) of windows c that end in x; nan where the code is -1."""
        n_both = self.counts[order].ravel()[codes]
        n_context = self.context_counts[order][codes >> 2]
        return np.where(codes < 0, np.nan, n_both), np.where(codes < 0, np.nan, n_context)


def fit(pieces: Iterable[np.ndarray], max_order: int = MAX_ORDER) -> MarkovModel:
    """Count both strands of training pieces, each (length,) uint8 tokens; `tune` the result before use.

    Raises:
        InputError: an order outside 0 to 11.
    """
    if not 0 <= max_order <= MAX_ORDER:
        raise InputError(f"max_order {max_order}: must be 0 to {MAX_ORDER}, 4**12 counts fill 128 MiB")
    counts = [np.zeros(4**width, dtype=np.int64) for width in range(1, max_order + 2)]
    for chunk in _chunks(pieces, CHUNK_BASES):
        for table, codes in zip(counts, _windows(chunk, max_order + 1), strict=True):
            table += np.bincount(codes[codes >= 0], minlength=table.size)
    both = [(table + on_the_other_strand(table)).reshape(-1, 4) for table in counts]
    return MarkovModel(tuple(both), prior_weights=(PRIOR_WEIGHTS[2],) * len(both))


def by_order(sums: np.ndarray) -> list[MarkovScore]:
    """Mean bits of each order from `MarkovModel.bits_and_bases`, (orders, 2).

    Raises:
        InputError: an order with no base to score.
    """
    return [_score(order, *row) for order, row in enumerate(sums)]


def kmer_codes(tokens: np.ndarray, k: int) -> np.ndarray:
    """(length - k + 1,) int32: each window of k letters (k to 15) as a base-4 number, oldest first; -1 with an N."""
    *_, codes = _windows(tokens, k)
    return codes


def on_the_other_strand(counts: np.ndarray) -> np.ndarray:
    """(4**k,) counts of the reverse complements: digits in reverse order, each x as 3 - x."""
    k = (counts.size.bit_length() - 1) // 2
    return counts.reshape((4,) * k).transpose().ravel()[::-1]


def _windows(tokens: np.ndarray, max_width: int) -> Iterator[np.ndarray]:
    """`kmer_codes` for every width from 1 to `max_width`, each made from the one before."""
    letters = LETTER_INDEX[tokens]
    codes = letters
    yield codes
    for width in range(2, max_width + 1):
        older, newest = codes[:-1], letters[width - 1 :]
        codes = np.where((older < 0) | (newest < 0), np.int32(-1), older * 4 + newest)
        yield codes


def _chunks(pieces: Iterable[np.ndarray], n_bases: int) -> Iterator[np.ndarray]:
    """Rows of `n_bases` tokens, the last one shorter: pieces end to end, an N after each, cut where a row is full."""
    waiting: list[np.ndarray] = []
    room = n_bases
    for piece in pieces:
        rest = piece
        while len(rest):
            part, rest = rest[:room], rest[room:]
            waiting += [part, encode("N")]
            room -= len(part)
            if room == 0:
                yield np.concatenate(waiting)
                waiting, room = [], n_bases
    if waiting:
        yield np.concatenate(waiting)


def _smooth(n_both: np.ndarray, n_context: np.ndarray, lower: np.ndarray, weight: float) -> np.ndarray:
    """(length,): the counted share, drawn towards the probability of the next lower order."""
    return (n_both + weight * lower) / (n_context + weight)


def _bits_and_bases(probs: np.ndarray) -> tuple[float, int]:
    known = probs[~np.isnan(probs)]
    return float(-np.log2(known).sum()), known.size


def _score(order: int, bits: float, n_scored: float) -> MarkovScore:
    if n_scored == 0:
        raise InputError(
            f"order {order}: no base to score; give pieces with {order + 1} or more letters A C G T in a row"
        )
    return MarkovScore(order, float(bits / n_scored), int(n_scored))
