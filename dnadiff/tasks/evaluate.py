"""`dnadiff evaluate`: the bound of a trained model on a split, with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import typer

from dnadiff import checkpoint
from dnadiff.data.genome import open_data
from dnadiff.data.window_set import WindowSet
from dnadiff.errors import InputError
from dnadiff.inference.estimate import Estimate
from dnadiff.inference.evaluate import evaluate
from dnadiff.model import DiffusionModel
from dnadiff.run import RunFolder, find_checkpoint
from dnadiff.tasks.progress import progress_bar
from dnadiff.tasks.settings import EvaluateSettings, TrainConfig, resolve


def settings_of(run: Path, words: Sequence[str], flags: dict[str, Any]) -> TrainConfig:
    """The settings of the run that a model comes from, changed by words and flags."""
    preset = config_of(run)
    if preset is None and not flags.get("data.ref"):
        raise InputError(f"{run}: is not inside a run folder, so there are no data settings; give --ref")
    fixed = [word for word in words if not word.startswith(("data.", "evaluate.", "train.seed="))]
    if fixed:
        raise InputError(f"{fixed[0]}: a trained model is evaluated as it is; only data.* and evaluate.* can be set")
    return resolve(preset or "dna/tiny", words, flags)


def config_of(run: Path) -> str | None:
    """The config.yaml of the run that a folder is, or that a checkpoint lies in; None where there is no run.

    Raises:
        InputError: there is no checkpoint.
    """
    folders = [run, find_checkpoint(run).parent.parent]
    return next((str(RunFolder(folder).config) for folder in folders if (folder / "metrics.csv").is_file()), None)


def run(settings: TrainConfig, path: Path) -> None:
    """Score a split and print the figures."""
    folder = find_checkpoint(path)
    data = open_data(settings.data, seed=settings.train.seed)
    windows: WindowSet = getattr(data, settings.evaluate.split)
    result = score(checkpoint.load(folder), windows, settings.evaluate, seed=settings.train.seed)
    typer.echo(f"{folder}, split {settings.evaluate.split} of {data.genome.path}")
    typer.echo(describe(result))


def dry_run(settings: TrainConfig, path: Path) -> str:
    """What `run` would score."""
    data = open_data(settings.data, seed=settings.train.seed)
    how = settings.evaluate
    n_windows = len(chosen_windows(getattr(data, how.split), how))
    return f"{find_checkpoint(path)}: {how.sweeps} sweeps over {n_windows:,} windows of {how.split}"


def chosen_windows(windows: WindowSet, settings: EvaluateSettings) -> np.ndarray:
    """(n,) numbers of the windows that are scored, evenly spread, in genome order."""
    n = min(len(windows), settings.max_windows or len(windows))
    return np.unique(np.linspace(0, len(windows) - 1, n).round().astype(np.int64)) if n else np.empty(0, np.int64)


def score(model: DiffusionModel, windows: WindowSet, settings: EvaluateSettings, *, seed: int) -> Estimate:
    """The bound of a model on windows of a genome, with a progress bar on a terminal."""
    chosen = chosen_windows(windows, settings)
    with progress_bar("evaluating", settings.sweeps * len(chosen)) as advance:
        return evaluate(
            model, lambda rows: windows.rows(chosen[rows], epoch=None), len(chosen),
            seed=seed, sweeps=settings.sweeps, batch_size=settings.batch_size, progress=advance,
        )  # fmt: skip


def describe(result: Estimate) -> str:
    """Figures with their intervals, and what they rest on."""
    rows = [("nats per base", result.nats), ("bits per base", result.bits_per_base), ("perplexity", result.perplexity)]
    lines = [f"{name:14} <= {figure.value:.4f}  [{figure.low:.4f}, {figure.high:.4f}]" for name, figure in rows]
    parts = {"windows": result.windows, "masks": result.monte_carlo}
    halves = (f"{name} {'unknown' if math.isnan(n) else f'{n / math.log(2):.4f}'}" for name, n in parts.items())
    counts = f"{result.n_windows:,} windows, {result.n_scored:,} bases, {result.n_sweeps} sweeps"
    lines.append(f"95 % intervals; half-widths in bits: {', '.join(halves)}; {counts}")
    return "\n".join(lines)
