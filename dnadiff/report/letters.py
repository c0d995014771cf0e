"""Figures of single sequences that biologists look at first; rows are (n, length) tokens."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.leakage.ranges import runs
from dnadiff.data.markov import LETTER_INDEX

Tokens = NDArray[np.uint8]
Floats = NDArray[np.float64]
DUST_WINDOW, DUST_STEP, DUST_LEVEL = 64, 32, 2.0
STOPS = [  # numbers of triplets: of stop codons on the strand as given, and on the other
    [16 * "ACGT".index(a) + 4 * "ACGT".index(b) + "ACGT".index(c) for a, b, c in codons]
    for codons in (("TAA", "TAG", "TGA"), ("TTA", "CTA", "TCA"))
]


def cpg_ratio(rows: Tokens) -> Floats:
    """(n,): CpG observed over expected, n(CG) length / (n(C) n(G)); nan without a C or a G."""
    letters = LETTER_INDEX[rows]
    is_c, is_g = letters == 1, letters == 2
    n_cg = (is_c[:, :-1] & is_g[:, 1:]).sum(1)
    expected = is_c.sum(1) * is_g.sum(1) / np.maximum((letters >= 0).sum(1), 1)
    ratio = np.full(len(rows), np.nan)
    np.divide(n_cg, expected, out=ratio, where=expected > 0)
    return ratio


def longest_homopolymer(rows: Tokens) -> Floats:
    """(n,): bases of the longest run of one base."""
    return _longest_runs(LETTER_INDEX[rows])


def homopolymer_counts(rows: Tokens) -> NDArray[np.int64]:
    """(longest + 1,): how many runs of one base have each length, over all rows."""
    _, n_bases = _runs(LETTER_INDEX[rows])
    return np.bincount(n_bases)


def low_complexity(rows: Tokens) -> Floats:
    """(n,): share of windows of 64 bases, every 32, whose DUST score is above 2 (Morgulis et al. 2006, equation 1).

    The score is the number of pairs of equal triplets, over the number of triplets less one.
    """
    return np.array([_low_share(codes) for codes in _triplets(rows)])  # a row at a time: this takes much memory


def longest_frame(rows: Tokens) -> Floats:
    """(n,): codons of the longest stretch between stop codons, in any of the six frames; the ends count as stops."""
    codes = _triplets(rows)
    longest = np.zeros(len(rows))
    for stops in STOPS:
        is_stop = np.isin(codes, stops) | (codes < 0)
        for frame in range(3):
            longest = np.maximum(longest, _longest_runs(np.where(is_stop[:, frame::3], -1, 0)))
    return longest


def _low_share(codes: NDArray[np.int32]) -> float:
    """`low_complexity` of triplets, (m,)."""
    width = min(DUST_WINDOW - 2, len(codes))
    windows = np.lib.stride_tricks.sliding_window_view(codes, width)[::DUST_STEP]  # (windows, width)
    known = windows >= 0
    number = np.arange(len(windows))[:, None]
    counts = np.bincount((64 * number + windows)[known], minlength=64 * len(windows)).reshape(-1, 64)
    score = (counts * (counts - 1) / 2).sum(1) / np.maximum(known.sum(1) - 1, 1)
    return float((score > DUST_LEVEL).mean())


def _triplets(rows: Tokens) -> NDArray[np.int32]:
    """(n, length - 2): each triplet as a number below 64; -1 with an N."""
    letters = LETTER_INDEX[rows]
    first, second, third = letters[:, :-2], letters[:, 1:-1], letters[:, 2:]
    return np.where((first | second | third) < 0, np.int32(-1), 16 * first + 4 * second + third)


def _runs(labels: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and length of each run of equal labels, negative ones left out; labels are (n, m)."""
    fenced = np.pad(labels, ((0, 0), (0, 1)), constant_values=-1)
    begins, n_each = runs(fenced.ravel())
    kept = fenced.ravel()[begins] >= 0
    return begins[kept] // fenced.shape[1], n_each[kept]


def _longest_runs(labels: NDArray[np.int32]) -> Floats:
    """(n,): the longest run in each row."""
    row, n_each = _runs(labels)
    longest = np.zeros(len(labels))
    np.maximum.at(longest, row, n_each)
    return longest
