"""`dnadiff evaluate`: the likelihood of a trained model on a split, or its bound, with its interval."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer

from dnadiff import checkpoint
from dnadiff.data.domains import Splits, open_data
from dnadiff.diffusion.estimators import Numbers
from dnadiff.errors import InputError, counted
from dnadiff.files import sha256, write_text
from dnadiff.hub.shipped import called
from dnadiff.inference.draws import Draws, Shard, fill_together, output_file
from dnadiff.inference.estimate import Estimate
from dnadiff.inference.evaluate import ALL, combine, fill, n_sweeps
from dnadiff.inference.measures import Measure, both_strands, in_steps, likelihood, training_loss
from dnadiff.inference.progress import progress_bar
from dnadiff.model import DiffusionModel
from dnadiff.models.kernels import use_kernels
from dnadiff.run import config_of, find_checkpoint
from dnadiff.tasks.classes import told
from dnadiff.tasks.domains import measure as levels_of
from dnadiff.tasks.figures import as_numbers, describe, learned, said
from dnadiff.tasks.settings import EvaluateSettings, TrainConfig, require_same_vocab, resolve, tokenizer_of
from dnadiff.training.steps import Rows
from dnadiff.world import ALONE, World, gathered

log = logging.getLogger("dnadiff")

FREE = ("data.", "evaluate.", "kernels.", "train.seed=", "markov_order=")


def settings_of(run: Path, words: Sequence[str], flags: dict[str, Any]) -> TrainConfig:
    """The settings of the run that a model comes from, its tokenizer too, changed by words and flags."""
    preset, tokenizer = config_of(run), tokenizer_of(find_checkpoint(run))
    given = "data.path" if tokenizer else "--ref"
    if preset is None and not flags.get("data.ref") and not any(word.startswith("data.path=") for word in words):
        raise InputError(f"{called(run)}: is not inside a run folder, so there are no data settings; give {given}")
    fixed = [word for word in words if not word.startswith(FREE)]
    if fixed:
        free = ", ".join(f"{name}*" if name.endswith(".") else name.rstrip("=") for name in FREE)
        raise InputError(f"{fixed[0]}: a trained model is evaluated as it is; only these can be set: {free}")
    return resolve(preset or ("text/demo" if tokenizer else "dna/tiny"), words, {**flags, **tokenizer})


def run(settings: TrainConfig, path: Path, out: str | None = None, shard: Shard = ALL) -> None:
    """Score a split and print the figures.

    Args:
        out: JSON file for the figures, `-` for standard output. What is drawn is kept beside the file, so that the same
            command goes on where it was killed, and shards meet there.
        shard: which batches to draw; whoever finds all of them drawn prints the figures.
    """
    file = output_file(out, shard)
    folder, how, seed = find_checkpoint(path), settings.evaluate, settings.train.seed
    data = open_data(settings.data, seed=seed)
    told(settings, data.labels)
    model, windows = checkpoint.load(folder), data.sets()[how.split]
    require_same_vocab(model.vocab, data.vocab, where=folder)
    use_kernels(model, settings.kernels)
    measure = measure_of(model, how)
    draws = Draws.empty(n_sweeps(measure, how.sweeps), len(how.chosen(len(windows))), how.batch_size)

    def fill_part(part: Shard, save: Callable[[], None]) -> None:
        _draw(draws, model, measure, windows, how, seed=seed, shard=part, save=save)

    if not fill_together(draws, shard, file, lambda: _claim(settings, data, folder), fill_part):
        return
    if not draws.done.all():
        log.info("shard %d of %d is drawn; the last one prints the figures", *shard)
        return
    parts = windows.parts(how.chosen(len(windows)))
    result, levels = combine(draws, measure, seed=seed, parts=parts), levels_of(settings, data)
    about = {
        "checkpoint": str(folder),
        settings.data.kind: str(data.source),
        "seed": seed,
        "learned_schedule": learned(model),
    }
    text = json.dumps({**about, **as_numbers(result, levels, how)}, indent=2)
    if file is not None:
        write_text(file, text)
    title = f"{called(folder)}, split {how.split} of {data.source}, {said(how)}"
    typer.echo(text if out == "-" else f"{title}\n{describe(result, levels)}\n{levels.verdict(result)}")
    if out != "-" and about["learned_schedule"]:
        typer.echo(f"learned schedule: {about['learned_schedule']}")


def dry_run(settings: TrainConfig, path: Path) -> str:
    """What `run` would score."""
    data = open_data(settings.data, seed=settings.train.seed)
    how = settings.evaluate
    windows = counted(len(how.chosen(len(data.sets()[how.split]))), "window")
    return f"{called(find_checkpoint(path))}: {counted(how.sweeps, 'sweep')} over {windows} of {how.split}"


def measure_of(model: DiffusionModel, how: EvaluateSettings) -> Measure:
    """What the settings ask of a model.

    Raises:
        InputError: the model cannot give it.
    """
    model = model if how.T is None else in_steps(model, how.T)
    estimator = None if how.estimator == Numbers() else how.estimator
    measure = training_loss(model) if how.protocol == "paper" else likelihood(model, estimator)
    return both_strands(measure, model) if how.strands == "both" else measure


def score(model: DiffusionModel, windows: Rows, how: EvaluateSettings, *, seed: int, here: World = ALONE) -> Estimate:
    """A model on rows of its data, with a progress bar on a terminal; the processes share the draws."""
    measure = measure_of(model, how)
    draws = Draws.empty(n_sweeps(measure, how.sweeps), len(how.chosen(len(windows))), how.batch_size)
    _draw(draws, model, measure, windows, how, seed=seed, shard=ALL.part(here))
    for others in gathered(draws):
        draws.merge(others)
    return combine(draws, measure, seed=seed, parts=windows.parts(how.chosen(len(windows))))


def _draw(
    draws: Draws,
    model: DiffusionModel,
    measure: Measure,
    windows: Rows,
    how: EvaluateSettings,
    *,
    seed: int,
    shard: Shard = ALL,
    save: Callable[[], None] = lambda: None,
) -> None:
    """Fill a shard, with a progress bar on a terminal that starts where the last time ended."""
    chosen = how.chosen(len(windows))
    with progress_bar("evaluating", draws.n_rows(shard)) as advance:
        advance(draws.n_done(shard))

        def progress(n_rows: int) -> None:
            advance(n_rows)
            save()

        fill(
            draws, model, measure, lambda rows: windows.rows(chosen[rows], epoch=None),
            seed=seed, shard=shard, tells_padding=False, progress=progress,
            labels=None if windows.labels is None else windows.labels[chosen],
        )  # fmt: skip


def _claim(settings: TrainConfig, data: Splits, folder: Path) -> dict[str, Any]:
    """All that a draw depends on."""
    return {
        "model": sha256(folder / checkpoint.MANIFEST), "dnadiff": version("dnadiff"),
        "data": data.fingerprint, "seed": settings.train.seed,
        "evaluate": settings.evaluate.model_dump(mode="json"),
    }  # fmt: skip
