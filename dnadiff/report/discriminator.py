"""Can a classifier tell generated sequences from real ones? By their k-mers, on sequences that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.labelled.folds import grouped_folds
from dnadiff.data.leakage.groups import groups
from dnadiff.data.leakage.sequences import InMemory
from dnadiff.errors import InputError
from dnadiff.report.kmers import kmer_counts
from dnadiff.report.measured import Measured

K, STRENGTH = 4, 0.01
MOST_ITERATIONS = 1000
Tokens = NDArray[np.uint8]
Floats = NDArray[np.float64]


def auroc(one: Tokens, other: Tokens, *, folds: int, seed: int) -> Measured:
    """Area under the ROC curve of a logistic regression on 4-mer frequencies, the mean over folds.

    Identical and similar sequences, on either strand and of either set, are all in one fold. The interval is DeLong's
    (1988), for the sequences that are judged; another choice of folds or of those learnt from would move it too.

    Args:
        one, other: (n, length) tokens.

    Raises:
        InputError: fewer unrelated sequences than folds, or so many related ones that a fold holds one set alone.
    """
    rows = np.concatenate([one, other])
    label = np.repeat([1, 0], [len(one), len(other)])
    fold = grouped_folds(label, groups(InMemory.of(rows)), n_folds=folds, seed=seed)
    if not all((np.bincount(fold[label == number], minlength=folds) > 0).all() for number in (0, 1)):
        raise InputError(f"related sequences leave one of {folds} folds without one of the sets; use fewer folds")
    areas, variances = zip(*_each_fold(_frequencies(rows), label, fold), strict=True)
    half = 1.96 * float(np.sqrt(np.sum(variances))) / len(areas)
    area = float(np.mean(areas))
    return Measured(area, float(np.maximum(area - half, 0.0)), float(np.minimum(area + half, 1.0)))


def _each_fold(x: Floats, label: NDArray[np.int64], fold: NDArray[np.int64]) -> Iterator[tuple[float, float]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    for number in range(int(fold.max()) + 1):
        is_test = fold == number
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=MOST_ITERATIONS))
        classifier.fit(x[~is_test], label[~is_test])
        score = classifier.decision_function(x[is_test])
        yield _area(score[label[is_test] == 1], score[label[is_test] == 0])


def _area(positive: Floats, negative: Floats) -> tuple[float, float]:
    """Share of pairs that are in the right order, ties for half, and its variance (DeLong et al. 1988); nan of one."""
    wins = (positive[:, None] > negative).astype(float) + 0.5 * (positive[:, None] == negative)
    parts = [wins.mean(axis) for axis in (1, 0)]
    return float(wins.mean()), sum(float(p.var(ddof=1)) / len(p) if len(p) > 1 else math.nan for p in parts)


def _frequencies(rows: Tokens) -> Floats:
    counts = kmer_counts(rows, K)
    frequencies: Floats = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    return frequencies
