"""How often many motifs match in many sequences, all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.markov import LETTER_INDEX
from dnadiff.data.motifs import Motif

NO_LETTER = -(1 << 20)  # steps: a word with an N matches nothing
AT_ONCE = 1 << 24  # numbers: one-hot bases of words, or scores


def count_matches(rows: NDArray[np.uint8], motifs: Sequence[Motif], p_value: float) -> NDArray[np.int64]:
    """(n, motifs) int64: places of each row at which each motif matches, on either strand or both.

    Args:
        rows: (n, length) tokens.
        p_value: the largest that a match may have; motifs that are too short for it match nothing.
    """
    width = max(motif.length for motif in motifs)
    weights = _weights([m.scores for m in motifs] + [m.scores[::-1, ::-1] for m in motifs], width)
    thresholds = [motif.threshold(p_value) for motif in motifs]
    least = np.array([np.inf if each is None else each for each in thresholds], np.float32)
    counts = [
        ((scores[..., : len(motifs)] >= least) | (scores[..., len(motifs) :] >= least)).sum(1)
        for scores in _scores(rows, weights, width)
    ]
    return np.concatenate([np.zeros((0, len(motifs)), np.int64), *counts])


def _scores(rows: NDArray[np.uint8], weights: NDArray[np.float32], width: int) -> Iterator[NDArray[np.float32]]:
    """(some rows, length, weights): steps of the word that begins at each base, whole numbers and therefore exact."""
    at_once = max(1, AT_ONCE // (rows.shape[1] * max(weights.shape)))
    for first in range(0, len(rows), at_once):
        letters = np.pad(LETTER_INDEX[rows[first : first + at_once]], ((0, 0), (0, width - 1)), constant_values=-1)
        one_hot = np.eye(5, dtype=np.float32)[letters]  # -1, which is unknown, is the fifth
        words = np.lib.stride_tricks.sliding_window_view(one_hot, width, axis=1).swapaxes(2, 3)
        yield words.reshape(*words.shape[:2], -1) @ weights


def _weights(matrices: Sequence[NDArray[np.int64]], width: int) -> NDArray[np.float32]:
    """(width * 5, matrices); those shorter than `width` ask nothing of the bases beyond them."""
    weights = np.zeros((len(matrices), width, 5), np.float32)
    for into, steps in zip(weights, matrices, strict=True):
        into[: len(steps), :4] = steps
        into[: len(steps), 4] = NO_LETTER
    return weights.reshape(len(matrices), -1).T
