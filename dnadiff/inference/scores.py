"""How good predicted classes or numbers are: accuracy, MCC, AUROC, AUPRC, F1; correlations; with an honest interval.

Two errors are combined. Rows: how far another choice of test rows would move a figure, from a bootstrap over groups of
related rows. Seeds: how far another training would, from the spread of seeds; unknown where there is one seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from dnadiff.inference.estimate import Interval

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
N_BOOTSTRAP = 200
FigureName = Literal["accuracy", "f1", "mcc", "spearman", "pearson", "auroc", "auprc"]
TITLES: dict[str, str] = {
    "accuracy": "accuracy", "f1": "F1", "mcc": "MCC", "spearman": "Spearman", "pearson": "Pearson", "auroc": "AUROC",
    "auprc": "AUPRC",
}  # fmt: skip
"""What figures are called, in the order of tables."""


class Scores(NamedTuple):
    """Figures of one set of predictions; nan where they are not defined.

    Attributes:
        accuracy: share of rows whose most probable class is theirs.
        mcc: Matthews' correlation, of all classes (Gorodkin 2004); 0 is chance.
        auroc: area under the ROC of the second class; of more than two, the mean over each against the rest.
        auprc: average precision of the same; chance is the class's share.
        f1: harmonic mean of precision and recall of the second class; of more than two, the mean over them.
    """

    accuracy: float
    mcc: float
    auroc: float
    auprc: float
    f1: float


class Correlations(NamedTuple):
    """Figures of predicted numbers; 0 where either side is all alike.

    Attributes:
        pearson: correlation.
        spearman: of ranks, equal numbers sharing the mean of theirs.
    """

    pearson: float
    spearman: float


class Predictions(NamedTuple):
    """What one model says of its test rows.

    Attributes:
        seed: of the model.
        group: (rows,) what related rows share; the same numbers in all predictions of a set.
        label: (rows,) int64; float64 where a number is predicted.
        probabilities: (rows, classes); where a number is predicted, that, (rows, 1).
    """

    seed: int
    group: Ints
    label: NDArray[Any]
    probabilities: Floats


class Roc(NamedTuple):
    """Shares of the rows of other classes, and of a class's own, above each threshold; (points,), from 0 to 1."""

    false_positive: Floats
    true_positive: Floats
    area: float


class Figure(NamedTuple):
    """A score over several models: its mean with the 95 % interval, and largest less smallest, as papers print it."""

    mean: Interval
    spread: float


def score(label: NDArray[Any], probabilities: Floats) -> Scores | Correlations:
    """Figures of one model's predictions; (rows,) and (rows, classes), or (rows, 1) of numbers."""
    return _weighable(label, probabilities).scores(np.ones(len(label)))


def figures(predicted: Sequence[Predictions], generator: np.random.Generator) -> dict[str, Figure]:
    """Every score over the predictions of several models, by name."""
    weighable = [_weighable(each.label, each.probabilities) for each in predicted]
    names = weighable[0].names
    values = np.array([score(each.label, each.probabilities) for each in predicted])  # (models, scores)
    groups = np.unique(np.concatenate([each.group for each in predicted]))
    places = [np.searchsorted(groups, each.group) for each in predicted]
    draws = np.empty((N_BOOTSTRAP, values.shape[1]))
    for draw in draws:
        weight = np.bincount(generator.integers(len(groups), size=len(groups)), minlength=len(groups)).astype(float)
        draw[:] = _mean([each.scores(weight[place]) for each, place in zip(weighable, places, strict=True)])
    rows = 1.96 * np.array([_std(column[np.isfinite(column)]) for column in draws.T])
    seeds = _seed_half_width(values, [each.seed for each in predicted])
    means = _mean(values)
    half = np.hypot(rows, seeds)
    spread = values.max(0) - values.min(0)
    low, high = np.maximum(means - half, weighable[0].lowest), np.minimum(means + half, 1.0)
    columns = zip(names, *(column.tolist() for column in (means, low, high, spread)), strict=True)
    return {name: Figure(Interval(*interval), gap) for name, *interval, gap in columns}


def roc(is_positive: NDArray[np.bool_], scores: Floats) -> Roc:
    """The receiver operating characteristic, (rows,) each; nan where there are no rows of either kind."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    with np.errstate(invalid="ignore"):
        true, false = (np.cumsum(mask[order])[ends] / np.count_nonzero(mask) for mask in (is_positive, ~is_positive))
        false, true = np.append(0.0, false), np.append(0.0, true)
        return Roc(false, true, float((np.diff(false) * (true[1:] + true[:-1])).sum() / 2))


class _Classes:
    """Predicted classes, ready to be scored under many weights of their rows."""

    names: ClassVar[tuple[str, ...]] = Scores._fields
    lowest: ClassVar[tuple[float, ...]] = (0.0, -1.0, 0.0, 0.0, 0.0)  # of each score; the highest is 1

    def __init__(self, label: Ints, probabilities: Floats) -> None:
        self._n_classes = probabilities.shape[1]
        self._pair = label * self._n_classes + probabilities.argmax(1)
        ranked = [1] if self._n_classes == 2 else range(self._n_classes)
        self._curves = [_Curve(label == number, probabilities[:, number]) for number in ranked]

    def scores(self, weight: Floats) -> Scores:
        counts = np.bincount(self._pair, weight, self._n_classes**2).astype(np.float64)
        confusion = counts.reshape(self._n_classes, -1)
        areas = np.array([curve.areas(weight) for curve in self._curves])
        total = confusion.sum()
        accuracy = float(np.trace(confusion) / total) if total else math.nan
        auroc, auprc = _mean(areas).tolist()
        return Scores(accuracy, _mcc(confusion), auroc, auprc, _f1(confusion))


class _Numbers:
    """Predicted numbers, ready to be scored under many weights of their rows."""

    names: ClassVar[tuple[str, ...]] = Correlations._fields
    lowest: ClassVar[tuple[float, ...]] = (-1.0, -1.0)

    def __init__(self, label: Floats, predicted: Floats) -> None:
        self._columns = label, predicted[:, 0]
        self._levels = [np.unique(column, return_inverse=True)[1] for column in self._columns]

    def scores(self, weight: Floats) -> Correlations:
        label, predicted = self._columns
        label_rank, predicted_rank = (_ranks(levels, weight) for levels in self._levels)
        return Correlations(_correlation(label, predicted, weight), _correlation(label_rank, predicted_rank, weight))


def _weighable(label: NDArray[Any], probabilities: Floats) -> _Classes | _Numbers:
    is_number = np.issubdtype(label.dtype, np.floating)
    return _Numbers(label, probabilities) if is_number else _Classes(label, probabilities)


class _Curve:
    """Rows in the order of falling scores, equal scores together."""

    def __init__(self, is_positive: NDArray[np.bool_], scores: Floats) -> None:
        self._order = np.argsort(-scores, kind="stable")
        falling = scores[self._order]
        self._begins = np.flatnonzero(np.concatenate([[True], falling[1:] != falling[:-1]]))
        self._is_positive = is_positive[self._order]

    def areas(self, weight: Floats) -> tuple[float, float]:
        """Area under the ROC, and average precision; nan without rows of either kind."""
        ordered = weight[self._order]
        positive = np.add.reduceat(ordered * self._is_positive, self._begins)
        negative = np.add.reduceat(ordered * ~self._is_positive, self._begins)
        true, false = positive.cumsum(), negative.cumsum()
        if not (true[-1] and false[-1]):
            return math.nan, math.nan
        auroc = 1 - (positive * (false - negative / 2)).sum() / (true[-1] * false[-1])
        precision = true / np.maximum(true + false, 1e-300)
        return float(auroc), float((positive * precision).sum() / true[-1])


def _mcc(confusion: Floats) -> float:
    """Of a (true, predicted) table; 0 where all rows are of one class or are said to be."""
    actual, predicted, total = confusion.sum(1), confusion.sum(0), confusion.sum()
    covariance = np.trace(confusion) * total - actual @ predicted
    scale = math.sqrt((total**2 - actual @ actual) * (total**2 - predicted @ predicted))
    return float(covariance / scale) if scale else 0.0


def _f1(confusion: Floats) -> float:
    """Of a (true, predicted) table; nan where no row is of the class or said to be."""
    with np.errstate(invalid="ignore"):
        each = 2 * np.diag(confusion) / (confusion.sum(0) + confusion.sum(1))
    return float(each[1] if len(each) == 2 else _mean(each))


def _ranks(levels: Ints, weight: Floats) -> Floats:
    """(rows,) mean rank of each, where a row of weight n counts as n rows; `levels` number the values by size."""
    total = np.bincount(levels, weight)
    return (total.cumsum() - total / 2)[levels]


def _correlation(one: Floats, other: Floats, weight: Floats) -> float:
    """Pearson's, of weighted rows; 0 where either side is all alike."""
    is_there = weight > 0
    if not is_there.any():
        return math.nan
    if not (np.ptp(one[is_there]) and np.ptp(other[is_there])):
        return 0.0
    x, y = (column - np.average(column, weights=weight) for column in (one, other))
    return float(weight @ (x * y) / math.sqrt((weight @ (x * x)) * (weight @ (y * y))))


def _mean(values: Sequence[Sequence[float]] | Floats) -> Floats:
    """Mean over the first axis of what is defined; nan where nothing is."""
    array = np.asarray(values, float)
    known = np.isfinite(array)
    with np.errstate(invalid="ignore"):
        mean: Floats = np.where(known, array, 0).sum(0) / known.sum(0)
    return mean


def _seed_half_width(values: Floats, seeds: Sequence[int]) -> Floats:
    """Of the mean of the seeds' means, (scores,); 0 where one seed tells nothing of it."""
    each = np.array([_mean(values[np.array(seeds) == seed]) for seed in dict.fromkeys(seeds)])
    if len(each) < 2:
        return np.zeros(values.shape[1])
    half: Floats = stdtrit(len(each) - 1, 0.975) * each.std(0, ddof=1) / math.sqrt(len(each))
    return half


def _std(values: Floats) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else math.nan
