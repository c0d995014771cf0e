"""Are samples like real DNA, as far as k-mers and GC tell? Always beside what real DNA itself would score.

The Jensen-Shannon distance is the square root of the divergence with logarithms to base 2: 0 for equal spectra, 1 for
spectra without a common k-mer. Two finite sets of real windows differ too, so a distance alone says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dnadiff.data.markov import LETTER_INDEX, kmer_codes
from dnadiff.errors import InputError
from dnadiff.vocab import DNA

N_DRAWS = 8


class ExcessJS(NamedTuple):
    """Jensen-Shannon distances to a reference of real windows, of equally many windows each.

    Attributes:
        samples: generated windows.
        floor: other real windows.
        shuffled: those other windows with their bases shuffled, which keeps the composition of each alone.
        ratio: (samples - floor) / (shuffled - floor): about 0 where samples are like real DNA, about 1 where they are
            no better than shuffled DNA; None where shuffling does not tell (shuffled <= floor).
    """

    samples: float
    floor: float
    shuffled: float
    ratio: float | None


def kmer_spectrum(sequences: Iterable[np.ndarray], k: int) -> np.ndarray:
    """(4**k,) float64: share of each k-mer, AA..A first, over sequences of tokens; windows with an N are left out.

    Raises:
        InputError: no k-mer at all.
    """
    return _shares(_count(sequences, k), k)


def js_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Jensen-Shannon distance of two distributions, (n,) each, between 0 and 1."""
    middle = (one + other) / 2
    divergence = (_relative_entropy(one, middle) + _relative_entropy(other, middle)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def kmer_counts(rows: np.ndarray, k: int) -> np.ndarray:
    """(n, 4**k) int32: how often each k-mer is in each row; windows with an N are left out.

    Args:
        rows: (n, length) tokens.
    """
    fenced = np.pad(rows, ((0, 0), (0, 1)), constant_values=DNA.unknown)  # so that no window is of two rows
    codes = kmer_codes(fenced.ravel(), k)
    places = np.arange(len(codes)) // fenced.shape[1] * 4**k + codes
    return np.bincount(places[codes >= 0], minlength=len(rows) * 4**k).reshape(-1, 4**k).astype(np.int32)


def gc_content(sequences: Iterable[np.ndarray]) -> np.ndarray:
    """(n,) float64: share of G and C among the letters of each sequence of tokens; nan for one without letters."""
    letters = [LETTER_INDEX[tokens] for tokens in sequences]
    n_gc = np.array([np.count_nonzero((row == 1) | (row == 2)) for row in letters], dtype=np.float64)
    n_letters = np.array([np.count_nonzero(row >= 0) for row in letters], dtype=np.float64)
    gc = np.full(len(letters), np.nan)
    np.divide(n_gc, n_letters, out=gc, where=n_letters > 0)
    return gc


def shuffle_bases(tokens: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(length,): the same bases in a random order; an N stays where it is."""
    shuffled = tokens.copy()
    is_letter = LETTER_INDEX[tokens] >= 0
    shuffled[is_letter] = rng.permutation(tokens[is_letter])
    return shuffled


def excess_js(
    samples: Sequence[np.ndarray], real: Sequence[np.ndarray], rng: np.random.Generator, *, k: int = 4
) -> ExcessJS:
    """How far samples are from real windows, beyond the distance between real windows.

    The mean of a few random draws. In each, n real windows are set apart and the rest are the reference for these, for
    their shuffled bases and for n samples; n is the number of samples, or half the real windows if these are fewer.

    Args:
        samples: generated windows of tokens, (length,) each.
        real: windows of held-out DNA, of the same length, since shorter windows make noisier spectra.

    Raises:
        InputError: no sample, fewer than two real windows, or no k-mer among them.
    """
    n = min(len(samples), len(real) // 2)
    if n == 0:
        raise InputError(f"k-mers: {len(samples)} samples and {len(real)} real windows; give at least 1 and 2")
    all_counts = _count(real, k)
    distances = np.array([_draw_distances(samples, real, all_counts, n, k, rng) for _ in range(N_DRAWS)])
    of_samples, floor, shuffled = distances.mean(axis=0).tolist()
    ratio = (of_samples - floor) / (shuffled - floor) if shuffled > floor else None
    return ExcessJS(of_samples, floor, shuffled, ratio)


def _draw_distances(
    samples: Sequence[np.ndarray],
    real: Sequence[np.ndarray],
    all_counts: np.ndarray,
    n: int,
    k: int,
    rng: np.random.Generator,
) -> list[float]:
    """Distances of n samples, n real windows and these shuffled, to all other real windows."""
    apart = [real[i] for i in rng.permutation(len(real))[:n]]
    chosen = [samples[i] for i in rng.permutation(len(samples))[:n]]
    reference = _shares(all_counts - _count(apart, k), k)
    groups = [chosen, apart, [shuffle_bases(window, rng) for window in apart]]
    return [js_distance(kmer_spectrum(group, k), reference) for group in groups]


def _count(sequences: Iterable[np.ndarray], k: int) -> np.ndarray:
    """(4**k,) int64."""
    counts = np.zeros(4**k, dtype=np.int64)
    for tokens in sequences:
        codes = kmer_codes(tokens, k)
        counts += np.bincount(codes[codes >= 0], minlength=counts.size)
    return counts


def _shares(counts: np.ndarray, k: int) -> np.ndarray:
    if not counts.any():
        raise InputError(f"k-mers: no {k}-mer to count; give sequences with {k} or more letters A C G T in a row")
    shares: np.ndarray = counts / counts.sum()
    return shares


def _relative_entropy(one: np.ndarray, other: np.ndarray) -> float:
    """In bits; `other` is positive wherever `one` is."""
    seen = one > 0
    return float((one[seen] * np.log2(one[seen] / other[seen])).sum())
