"""The sections of a report that compare whole sequences: told apart, embedded, looked up in what was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dnadiff.errors import InputError
from dnadiff.report import panels
from dnadiff.report.card import SAMPLES, Figure, Picture, Section, Sets, Table, alt_text
from dnadiff.report.discriminator import K, auroc
from dnadiff.report.measured import Measured
from dnadiff.report.nearest import Nearest, n_related_groups
from dnadiff.report.statistics import frechet_to, mean_of, measure

Floats = NDArray[np.float64]
Tokens = NDArray[np.uint8]
COPIED = 0.5  # share of minimizers from which on a sequence is called half copied, as in `dnadiff audit`


def classifier(sets: Sets, *, folds: int, seed: int) -> Section:
    """How well each set is told apart from the reference."""
    found, reasons = {}, []
    for name, rows in sets.groups.items():
        try:
            found[name] = auroc(rows, sets.reference, folds=folds, seed=seed)
        except InputError as error:
            reasons.append(f" Of {name} it cannot be said: {error}.")
    figure = Figure("classifier against the reference", "AUROC", found)
    return Section(
        "Told apart by a classifier",
        f"Logistic regression on {K}-mer frequencies learns to tell each set from the reference, and is judged on "
        f"sequences that it has not seen, in {folds} folds that similar sequences, on either strand, never cross. 0.5 "
        f"is chance, 1 is always right. That it fails says little: a better one might not.{''.join(reasons)}",
        [figure],
        [Picture(
            "classifier", alt_text("Area under the ROC curve of a classifier against the reference", [figure]),
            lambda axes: panels.intervals(axes, found, x="AUROC against the reference", chance=0.5),
        )] if found else [],
    )  # fmt: skip


def frechet(sets: Sets, embed: Callable[[Tokens], Floats], *, name: str, title: str, text: str) -> Section:
    """Distances in one embedding.

    Args:
        embed: rows (n, length) -> features (n, width).
        name: of the embedding, and of its picture.
        title, text: of the section.
    """
    raw = embed(sets.reference)
    middle, spread = raw.mean(0), raw.std(0)
    scale = np.where(spread > 0, spread, 1.0)
    reference = (raw - middle) / scale
    found = {group: (embed(rows) - middle) / scale for group, rows in sets.groups.items()}
    statistics = {group: frechet_to(reference, each) for group, each in found.items()}
    figure = measure(f"Frechet distance, {name}", "squared standard deviations", statistics, sets.n)
    return Section(
        title,
        f"{text} The distance is that of Gaussians with the mean and covariance of each set, in features that have "
        "mean 0 and standard deviation 1 in the reference. It is above 0 for two sets of real windows, the more so the "
        "fewer they are: compare it with the floor, and never with that of another number of sequences.",
        [figure],
        [Picture(
            f"frechet_{name.replace('-', '_').replace(' ', '_')}",
            alt_text("Frechet distance to the reference", [figure]),
            lambda axes: panels.intervals(axes, figure.by_group, x="Frechet distance to the reference"),
        )],
    )  # fmt: skip


def novelty(sets: Sets, found: Mapping[str, Nearest], names: Sequence[str], *, training: str) -> Section:
    """How much is copied from training DNA, and how different sequences are from each other.

    Args:
        found: by set; sets that were cut from the training DNA itself are left out.
        names: of the samples.
        training: what the training DNA is.
    """
    shares = {name: each.share for name, each in found.items()}
    figures = [
        measure("shared with training DNA", "mean share of minimizers",
                {name: mean_of(share) for name, share in shares.items()}, sets.n),
        measure("half copied", "share of sequences with half of their minimizers in one stretch of training DNA",
                {name: mean_of((share >= COPIED).astype(np.float64)) for name, share in shares.items()}, sets.n),
        measure("copied whole", "share of sequences that are in training DNA as a whole",
                {name: mean_of(each.is_copy.astype(np.float64)) for name, each in found.items()}, sets.n),
        Figure("unrelated to each other", "groups of similar sequences / sequences",
               {name: Measured(n_related_groups(rows) / len(rows)) for name, rows in sets.groups.items()}),
    ]  # fmt: skip
    ours = found[SAMPLES]
    order = np.argsort(-ours.share, kind="stable").tolist()
    rows = [(names[i], f"{ours.share[i]:.3f}", ours.place[i], "yes" if ours.is_copy[i] else "no") for i in order]
    return Section(
        "Novelty and diversity",
        f"For every sequence the stretch of the training DNA ({training}), eight times as long, that holds most of "
        "its minimizers (21-mers, about two in eleven bases, the same on both strands). One changed base in 33 leaves "
        "half of them. Windows that were never trained on share repeats with training DNA: what is beyond the floor is "
        "memorised. The last measure is 1 if no two sequences share half of their minimizers, and falls as a generator "
        "repeats itself.",
        figures,
        [Picture(
            "novelty", alt_text("Share of minimizers in the nearest stretch of training DNA", figures[:1]),
            lambda axes: panels.survival(axes, shares, x="share of minimizers in the nearest training stretch"),
        )],
        [Table("novelty", ("sample", "share", "nearest_stretch", "copied_whole"), rows, 5)],
    )  # fmt: skip
