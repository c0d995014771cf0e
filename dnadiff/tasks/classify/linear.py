"""Linear models of features of rows, and the k-mers that a baseline reads."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dnadiff.data.leakage.sequences import Sequences, batches
from dnadiff.data.markov import LETTER_INDEX
from dnadiff.tasks.classify.task import Outcome, Task

STRENGTHS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)  # of a regression, as scikit-learn counts C
MOST_ITERATIONS = 1000


def linear(values: np.ndarray, task: Task) -> Outcome:
    """A regression on standardised features, (rows, features): logistic, or ridge where a number is predicted.

    Its strength is chosen by the validation rows.
    """
    fold, label = task.fold, task.data.examples.label
    fitted, strength = fit_linear(values[fold.train], label[fold.train], values[fold.valid], label[fold.valid])
    predicted = np.zeros((len(fold.test), task.n_outputs))
    if task.data.classes:
        predicted[:, fitted.classes_] = fitted.predict_proba(values[fold.test])
    else:
        predicted[:, 0] = fitted.predict(values[fold.test])
    return Outcome(predicted, {"features": values.shape[1], "C": strength})


def fit_linear(x: np.ndarray, y: np.ndarray, valid_x: np.ndarray, valid_y: np.ndarray) -> tuple[Any, float]:
    """The scikit-learn pipeline that is best on the validation rows, by accuracy or by R squared, and its C."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    best: tuple[float, Any, float] = (-math.inf, None, 0.0)
    is_number = np.issubdtype(y.dtype, np.floating)
    for strength in STRENGTHS:
        model = Ridge(1 / strength) if is_number else LogisticRegression(C=strength, max_iter=MOST_ITERATIONS)
        fitted = make_pipeline(StandardScaler(), model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # what is not separated by then is chosen against
            fitted.fit(x, y)
        score = float(fitted.score(valid_x, valid_y))
        if score > best[0]:
            best = (score, fitted, strength)
    return best[1], best[2]


def kmers(task: Task) -> Outcome:
    """Logistic regression on frequencies of k-mers."""
    return linear(kmer_frequencies(task.data.examples.sequences, task.settings.kmer), task)


def kmer_frequencies(sequences: Sequences, k: int) -> NDArray[np.float32]:
    """(rows, 4**k) frequencies of the k-mers of every row, on the strand as given; those with N are left out."""
    found = np.zeros((len(sequences.lengths), 4**k), np.float32)
    for batch in batches(sequences):
        base = LETTER_INDEX[batch.tokens].astype(np.int64)
        row = np.repeat(np.arange(len(batch.lengths)), batch.lengths)
        n = max(0, len(base) - k + 1)
        code, is_whole = np.zeros(n, np.int64), row[:n] == row[k - 1 :]
        for offset in range(k):
            part = base[offset : offset + n]
            code, is_whole = 4 * code + part, is_whole & (part >= 0)
        place = (row[:n] * 4**k + code)[is_whole]
        counts = np.bincount(place, minlength=len(batch.lengths) * 4**k).reshape(-1, 4**k)
        found[batch.first : batch.first + len(counts)] = counts / np.maximum(1, counts.sum(1, keepdims=True))
    return found
