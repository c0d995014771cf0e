"""Pictures of the finished units of a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dnadiff.inference.scores import Roc, roc
from dnadiff.report.class_plots import draw_confusion, draw_roc
from dnadiff.tasks.classify.units import Result

NAMES = {
    "finetune": "fine-tuned", "probe": "linear probe", "majority": "majority class", "cnn": "small CNN",
    "kmers": "k-mers, logistic regression", "permuted": "control: permuted labels",
}  # fmt: skip


def draw(folder: Path, name: str, method: str, results: Mapping[str, Sequence[Result]]) -> None:
    """confusion.png of the method, over all folds of its first seed; and roc.png; of numbers, nothing.

    Curves are of first units, since scores of several models have no common threshold: of every method where there are
    two classes, of every class where there are more.

    Args:
        folder: for the pictures.
        name: of the set.
        method: what is studied.
        results: finished units by method.
    """
    if not all(some[0].facts["classes"] for some in results.values()):
        return
    firsts = {each: some[0].predictions for each, some in results.items()}
    curves: dict[str, Roc] = {}
    if method in results:
        some = [each for each in results[method] if each.unit.seed == results[method][0].unit.seed]
        classes: list[str] = some[0].facts["classes"]
        counts = np.zeros((len(classes), len(classes)), np.int64)
        for each in some:
            np.add.at(counts, (each.predictions.label, each.predictions.probabilities.argmax(1)), 1)
        draw_confusion(folder / "confusion.png", counts, classes, title=f"{name}, {NAMES[method]}")
        label, proba = firsts[method].label, firsts[method].probabilities
        curves = {one: roc(label == number, proba[:, number]) for number, one in enumerate(classes)}
    if all(each.probabilities.shape[1] == 2 for each in firsts.values()):
        curves = {NAMES[each]: roc(one.label == 1, one.probabilities[:, 1]) for each, one in firsts.items()}
    draw_roc(folder / "roc.png", curves, title=f"{name}, fold 1, seed 1")
