"""Pictures of a report, each on axes of yours: sets are told apart by colour, and by line or marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from dnadiff.report.card import REAL, SAMPLES, SHUFFLED
from dnadiff.report.measured import Measured
from dnadiff.report.plots import BLUE, GREEN, GREY, ORANGE

Floats = NDArray[np.float64]
STYLES = {SAMPLES: (BLUE, "-", "o"), REAL: ("black", "--", "s"), SHUFFLED: (GREEN, ":", "D")}
OF_MARKOV = (ORANGE, "-.", "^")
N_BINS = 30


def lines(axes: Axes, points: Mapping[str, Mapping[int, Measured]], *, x: str, y: str) -> Axes:
    """A line for each set through its figures, with their intervals; the figures are distances, on a logarithmic axis.

    Args:
        points: by set, by place on the x axis.
        x, y: what the axes say.
    """
    width = 0.06
    for number, (name, figures) in enumerate(points.items()):
        colour, line, marker = _style(name)
        places = np.array(list(figures)) + width * (number - (len(points) - 1) / 2)  # intervals do not hide each other
        values, half = (np.array([getattr(f, what) for f in figures.values()]) for what in ("value", "half_width"))
        low = np.minimum(np.nan_to_num(half), 0.95 * values)  # an interval to 0 has no end on a logarithmic axis
        axes.errorbar(
            places, values, [low, np.nan_to_num(half)], color=colour, linestyle=line, marker=marker, markersize=5,
            capsize=2, label=name, markerfacecolor="none",
        )  # fmt: skip
    axes.set(xlabel=x, ylabel=y)
    axes.set_xticks(list(next(iter(points.values()))))
    return _finished(axes, log="y")


def scatter(axes: Axes, reference: Floats, sets: Mapping[str, Floats], *, x: str, y: str) -> Axes:
    """Each set's frequencies, (kinds,), against those of the reference, on logarithmic axes; zeros are left out."""
    for name, values in sets.items():
        colour, _, marker = _style(name)
        seen = (reference > 0) & (values > 0)
        axes.plot(
            reference[seen], values[seen], marker, color=colour, markersize=4, alpha=0.7, label=name, rasterized=True,
            markerfacecolor=colour if name == SAMPLES else "none",
        )  # fmt: skip
    known = reference[reference > 0]
    if len(known):
        ends = [known.min(), known.max()]
        axes.plot(ends, ends, color=GREY, linewidth=1, label="equal")
    axes.set(xlabel=x, ylabel=y)
    return _finished(axes, log="xy")


def histogram(axes: Axes, sets: Mapping[str, Floats], *, x: str) -> Axes:
    """How the values of single sequences are spread, (n,) for each set; those far out are in the first or last bin."""
    known = {name: values[~np.isnan(values)] for name, values in sets.items()}
    every = np.concatenate(list(known.values()))
    low, high = np.quantile(every, [0.005, 0.995]) if len(every) else (0.0, 1.0)
    bins = np.linspace(low, max(high, low + 1e-6), N_BINS + 1)
    for name, values in known.items():
        colour, line, _ = _style(name)
        how: dict[str, Any] = {
            "color": colour,
            "label": name,
            "weights": np.full(len(values), 100 / max(len(values), 1)),
        }
        if name == SAMPLES:
            axes.hist(values.clip(low, high), bins.tolist(), alpha=0.35, **how)
        else:
            axes.hist(values.clip(low, high), bins.tolist(), histtype="step", linestyle=line, linewidth=1.4, **how)
    axes.set(xlabel=x, ylabel="sequences (%)")
    return _finished(axes)


def survival(axes: Axes, sets: Mapping[str, Floats], *, x: str) -> Axes:
    """How many of the sequences of each set have a value as large or larger; a logarithmic axis shows the few."""
    for name, values in sets.items():
        colour, line, _ = _style(name)
        ordered = np.sort(values[~np.isnan(values)])
        share = 100 * np.arange(len(ordered), 0, -1) / max(len(ordered), 1)
        axes.step(ordered, share, where="pre", color=colour, linestyle=line, linewidth=1.6, label=name)
    axes.set(xlabel=x, ylabel="sequences with as much or more (%)")
    return _finished(axes, log="y")


def rates(axes: Axes, sets: Mapping[str, Floats], *, x: str, y: str) -> Axes:
    """A rate for each whole number from 1 on, (numbers,) for each set, on logarithmic axes; zeros are left out."""
    for name, values in sets.items():
        colour, line, marker = _style(name)
        places = np.flatnonzero(values > 0)
        axes.plot(
            places + 1, values[places], color=colour, linestyle=line, marker=marker, markersize=4, label=name,
            markerfacecolor="none",
        )  # fmt: skip
    axes.set(xlabel=x, ylabel=y)
    return _finished(axes, log="xy")


def intervals(axes: Axes, figures: Mapping[str, Measured], *, x: str, chance: float | None = None) -> Axes:
    """A figure for each set with its interval, one below the other.

    Args:
        chance: where the figure is if nothing tells the sets apart.
    """
    for number, (name, figure) in enumerate(figures.items()):
        colour, _, marker = _style(name)
        half = 0.0 if np.isnan(figure.half_width) else figure.half_width
        axes.errorbar([figure.value], [number], xerr=[half], color=colour, marker=marker, markersize=7, capsize=4)
    if chance is not None:
        axes.axvline(chance, color=GREY, linewidth=1, linestyle="--")
        axes.annotate("chance", (chance, 1), xycoords=("data", "axes fraction"), fontsize=9, color="#444444",
                      xytext=(4, -10), textcoords="offset points")  # fmt: skip
    axes.set(xlabel=x, ylim=(len(figures) - 0.5, -0.5))
    axes.set_yticks(range(len(figures)), _wrapped(list(figures)))
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _style(name: str) -> tuple[str, str, str]:
    """Colour, line and marker of a set, the same in every picture."""
    return STYLES.get(name, OF_MARKOV)


def _wrapped(names: Sequence[str]) -> list[str]:
    """Names of several words in two lines, so that they leave room for the figure."""
    return [name if len(name) < 16 else _halved(name.split()) for name in names]


def _halved(words: list[str]) -> str:
    return f"{' '.join(words[: (len(words) + 1) // 2])}\n{' '.join(words[(len(words) + 1) // 2 :])}"


def _finished(axes: Axes, *, log: str = "") -> Axes:
    """With a legend; the axes that `log` names are logarithmic, with plain numbers, where there is anything above 0."""
    for name in filter(partial(_has_positive, axes), log):
        axes.set(**{f"{name}scale": "log"})
        axis = getattr(axes, f"{name}axis")
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_formatter(NullFormatter())
    axes.legend(loc="best", fontsize=9, frameon=False)  # named: unnamed, a slow machine warns that it is slow
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _has_positive(axes: Axes, name: str) -> bool:
    """Whether a line has a point above 0 along the x or the y axis."""
    points = np.concatenate([np.asarray(line.get_xydata(), np.float64) for line in axes.lines])
    return bool((points[:, "xy".index(name)] > 0).any())
