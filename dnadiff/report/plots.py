"""Pictures of a run, drawn without a display, in Okabe and Ito's colours, which colour-blind readers can tell apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter

from dnadiff.files import unfinished

BLUE, ORANGE, GREEN, GREY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#777777", "#CC79A7"

_BELOW: dict[str, Any] = {"fontsize": 8, "loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": 3}

Curve = Sequence[tuple[int, float]]
"""(step, figure) in the order of steps."""


def draw_training(
    path: Path,
    train: Curve,
    valid: Curve,
    *,
    unit: str,
    lines: Mapping[str, float],
    band: tuple[float, float] | None = None,
    test: tuple[float, float, float] | None = None,
) -> None:
    """The loss over the steps of a run.

    Args:
        train, valid: the loss of single steps, and of validations if there are any.
        unit: of every figure.
        lines: baselines by name.
        band: lower and upper bound of the source's own entropy, where it is known.
        test: the figure on held-out windows with its 95 % interval (value, low, high).
    """
    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.add_subplot()
    steps, losses = np.array(train).T
    mean = _running_mean(losses)
    axes.plot(steps, losses, ".", color=BLUE, alpha=0.25, markersize=4, label="training, one step (noisy)")
    axes.plot(steps, mean, color=BLUE, label="training, running mean")
    if valid:
        axes.plot(*zip(*valid, strict=True), "o-", color=ORANGE, markersize=4, label="validation")
    if band is not None:
        axes.axhspan(*band, color=GREEN, alpha=0.2, label="entropy of the toy's source lies here")
    if test is not None:
        value, low, high = test
        error = [[value - low], [high - value]]
        axes.errorbar(
            [steps[-1]], [value], error, fmt="s", color=PURPLE, capsize=4, label=f"test {value:.3f}", zorder=3
        )
    shown = [*mean, *lines.values(), *(band or ()), *(loss for _, loss in valid), *(test or ())]
    low, high = min(shown), max(shown)
    axes.set(xlabel="optimiser step", ylabel=unit, ylim=(low - 0.03, high + 0.05), title="Learning curve")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _label_lines(axes, lines)
    figure.legend(fontsize=8, loc="outside lower center", ncols=5)
    save_figure(figure, path)


def draw_spectra(
    path: Path, spectra: Mapping[str, np.ndarray], gc: Mapping[str, np.ndarray], *, n: int, k: int
) -> None:
    """Samples against real windows: every k-mer's frequency, and GC per sequence.

    Args:
        spectra: (4**k,) frequencies under "real", "samples" and "shuffled".
        gc: (n,) share of G and C per sequence under "real" and "samples".
    """
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.loglog(spectra["real"], spectra["shuffled"], ".", color=GREY, markersize=4, label="real, bases shuffled")
    left.loglog(spectra["real"], spectra["samples"], ".", color=BLUE, markersize=5, label="samples")
    ends = [spectra["real"][spectra["real"] > 0].min(), spectra["real"].max()]
    left.xaxis.set_minor_formatter(NullFormatter())
    left.plot(ends, ends, color="black", linewidth=0.8, label="equal")
    left.set(
        xlabel=f"frequency of a {k}-mer in real windows",
        ylabel=f"frequency of the {k}-mer",
        title=f"{k}-mers, {n} sequences each",
    )
    left.legend(**_BELOW)
    bins = np.linspace(0.0, 1.0, 41).tolist()
    right.hist(gc["real"], bins, color=GREY, alpha=0.6, label="real windows")
    right.hist(gc["samples"], bins, histtype="step", color=BLUE, linewidth=1.8, label="samples")
    right.yaxis.set_major_locator(MaxNLocator(integer=True))
    both = np.concatenate([gc["real"], gc["samples"]])
    right.set(
        xlabel="share of G and C in a sequence",
        ylabel="sequences",
        title="GC content",
        xlim=(np.nanmin(both) - 0.05, np.nanmax(both) + 0.05),
    )
    right.legend(**_BELOW)
    save_figure(figure, path)


def _label_lines(axes: Axes, lines: Mapping[str, float]) -> None:
    """Draw them, with their names on the right, where no curve is."""
    low, high = axes.get_ylim()
    names = sorted(lines, key=lambda name: lines[name])
    heights = spread_apart([lines[name] for name in names], (high - low) / 30)
    for name, height in zip(names, heights, strict=True):
        axes.axhline(lines[name], color=GREY, linewidth=0.8, linestyle="--")
        axes.annotate(
            name, (1.005, height), xycoords=("axes fraction", "data"), fontsize=7, color="#444444", va="center"
        )


def spread_apart(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights, those moved up that are nearer than `gap` to the one below."""
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + gap) if moved else height)
    return moved


def _running_mean(values: np.ndarray, window: int = 9) -> np.ndarray:
    """Mean over up to `window` values, the last one included."""
    return np.array([values[max(0, i + 1 - window) : i + 1].mean() for i in range(len(values))])


def save_figure(figure: Figure, path: Path) -> None:
    """Write a picture, all or nothing."""
    with unfinished(path) as temporary:
        figure.savefig(temporary, dpi=130, format=path.suffix[1:])
