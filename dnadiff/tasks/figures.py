"""Figures of a model as text and as numbers: what each one means, and what it is read against."""

from __future__ import annotations

import math
from typing import Any

from dnadiff.diffusion.learned_schedule import LearnedSchedule
from dnadiff.errors import counted
from dnadiff.inference.estimate import Estimate, Interval, Meaning
from dnadiff.model import DiffusionModel
from dnadiff.tasks.levels import Levels
from dnadiff.tasks.settings import EvaluateSettings


def said(how: EvaluateSettings) -> str:
    """The protocol, and what else was asked for."""
    usual, names = EvaluateSettings(), ("estimator", "strands", "T")
    asked = {name: getattr(how, name) for name in names if getattr(how, name) != getattr(usual, name)}
    return ", ".join([f"protocol {how.protocol}", *(f"{name} {getattr(x, 'kind', x)}" for name, x in asked.items())])


def describe(result: Estimate, levels: Levels) -> str:
    """What was measured, its figures with their intervals, and what they rest on."""
    figures = _figures(result, levels)
    width = max(map(len, figures))
    lines = [f"{name:{width}} {result.meaning.sign:2} {_shown(figure)}" for name, figure in figures.items()]
    halves = {levels.rows: result.windows}
    if result.meaning is not Meaning.EXACT:
        halves["masks"] = result.monte_carlo
    parts = ", ".join(f"{name} {_half_width(nats)}" for name, nats in halves.items())
    sweeps = counted(result.n_sweeps, "sweep")
    counts = f"{result.n_windows:,} {levels.rows}, {result.n_scored:,} {levels.letter}s, {sweeps}"
    rests = f"95 % intervals; half-widths in bits: {parts}; {counts}"
    return "\n".join([result.meaning.value, *lines, rests, *_by_part(result, levels)])


def _by_part(result: Estimate, levels: Levels) -> list[str]:
    """A line for each part, beside what it is read against."""
    width = max(map(len, result.parts), default=0)
    return [
        f"  {name:{width}} {part.meaning.sign:2} {_shown(part.bits_per_base)}  {part.n_windows:,} {levels.rows}; "
        + ", ".join(f"{beside} {level:.4f}" for beside, level in levels.of(name).lines().items())
        for name, part in result.parts.items()
    ]


def learned(model: DiffusionModel) -> str | None:
    """What a model has learned besides its network, where that can be said in a line."""
    return model.schedule.describe() if isinstance(model.schedule, LearnedSchedule) else None


def as_numbers(result: Estimate, levels: Levels, how: EvaluateSettings) -> dict[str, Any]:
    """Everything that a figure is and rests on, for JSON; `parts` has the same of each contig."""
    parts = {name: _numbers(part, levels.of(name)) for name, part in result.parts.items()}
    asked = {"split": how.split, "evaluate": how.model_dump(mode="json")}
    return {**asked, **_numbers(result, levels), **({"parts": parts} if parts else {})}


def _numbers(result: Estimate, levels: Levels) -> dict[str, Any]:
    figures = {name.replace(" ", "_"): figure._asdict() for name, figure in _figures(result, levels).items()}
    counts = {"n_windows": result.n_windows, "n_scored": result.n_scored, "n_sweeps": result.n_sweeps}
    halves = {"monte_carlo": result.monte_carlo, "windows": result.windows}
    return {
        "meaning": result.meaning.value, **figures,
        **{f"{name}_half_width_nats": None if math.isnan(nats) else nats for name, nats in halves.items()},
        **counts, **levels.as_numbers(),
    }  # fmt: skip


def _figures(result: Estimate, levels: Levels) -> dict[str, Interval]:
    """By name; what is no likelihood says so in its name."""
    pseudo = "pseudo-" if result.meaning is Meaning.PSEUDO else ""
    by_batch = "" if result.batch_size is None else f" by batches of {result.batch_size}"
    return {
        f"{pseudo}nats per {levels.letter}": result.nats,
        f"{pseudo}bits per {levels.letter}": result.bits_per_base,
        f"{pseudo}perplexity{by_batch}": result.perplexity,
        **{f"{pseudo}{name}": figure for name, figure in levels.more(result).items()},
    }


def _shown(figure: Interval) -> str:
    return f"{figure.value:.4f}  [{figure.low:.4f}, {figure.high:.4f}]"


def _half_width(nats: float) -> str:
    return "unknown" if math.isnan(nats) else f"{nats / math.log(2):.4f}"
