"""Fit a model: put data, module, callbacks and checkpoints together and let Lightning run them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dnadiff import checkpoint
from dnadiff.errors import InputError
from dnadiff.model import DiffusionModel
from dnadiff.run import RunFolder
from dnadiff.training.callbacks import Report, SaveCheckpoints, Validate
from dnadiff.training.checkpoint_io import FolderCheckpointIO
from dnadiff.training.lit import LitDiffusion
from dnadiff.training.loggers import opened
from dnadiff.training.metrics import Metrics, unit_of
from dnadiff.training.recompute import recomputed
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.training.steps import Rows, StepDataset, StepLoader, validation_batches
from dnadiff.training.trainer import make_trainer, moving_average, quiet, stop_on_signal
from dnadiff.training.workers import lost_workers
from dnadiff.world import ALONE, World, gathered

log = logging.getLogger("dnadiff")


def fit(
    model: DiffusionModel,
    train_rows: Rows,
    valid_rows: Rows,
    run: RunFolder,
    *,
    optim: OptimSettings,
    train: TrainSettings,
    data_fingerprint: str,
    letter: str = "base",
    files: Mapping[str, str] = {},
    here: World = ALONE,
) -> None:
    """Train until `train.max_steps`, resuming from the newest intact checkpoint of the run.

    Args:
        here: the processes that share each step; only the first touches the run.
        letter: what a letter of the data is called in figures.
        files: text files by name that belong to every checkpoint, such as a tokenizer's.

    Raises:
        InputError: the run was begun on other data.
        DivergedError: the loss is no longer a number; the last checkpoint stays.
        InterruptedRun: the user stopped the run; a checkpoint was saved.
    """
    resume = gathered(run.newest() if here.is_first else None)[0]
    start = _resume_step(resume, data_fingerprint) if resume else 0
    validation = validation_batches(
        valid_rows,
        seed=train.seed,
        n_uniforms=model.objective.n_uniforms,
        n_windows=train.valid_windows,
        batch_size=train.micro_batch or max(1, train.batch_size // here.size),
    )
    ema = moving_average(optim)
    validate = Validate(validation, train, ema)
    unit = unit_of(model.objective.likelihood, letter)
    report = Report(run, Metrics(run.metrics, max_steps=train.max_steps, unit=unit), train, validate)
    save = SaveCheckpoints(run, train, validate, report)

    def facts() -> dict[str, Any]:
        return {f"valid_{unit.name}": validate.latest, "data": data_fingerprint}

    names = train.loggers if here.is_first else ()
    with (
        quiet(), stop_on_signal(save, here=here), recomputed(model.network.blocks if train.recompute else ()),
        opened(names, run, start=start) as loggers,
    ):  # fmt: skip
        trainer = make_trainer(
            train, [*([ema] if ema else []), validate, report, save], here=here, loggers=loggers,
            plugins=[FolderCheckpointIO(model.config, model.vocab, facts, files, lambda: save.is_needed)],
            default_root_dir=run.path,
        )  # fmt: skip
        steps = StepDataset(
            train_rows, seed=train.seed, batch_size=train.batch_size, n_uniforms=model.objective.n_uniforms,
            times=train.times, rank=here.rank, world_size=here.size,
        )  # fmt: skip
        loader = StepLoader(steps, start=start, stop=train.max_steps, workers=train.workers, timeout=train.read_timeout)
        with lost_workers(lambda: steps.describe(trainer.global_step)):
            trainer.fit(LitDiffusion(model, optim, train), loader, ckpt_path=resume, weights_only=True)
    model.eval()


def _resume_step(newest: Path, data_fingerprint: str) -> int:
    """The step that a checkpoint was saved after, if its data are the same."""
    manifest = checkpoint.verify(newest)
    if manifest["data"] != data_fingerprint:
        raise InputError(
            f"{newest}: was trained on other data than are given now; restore them or choose another --out"
        )
    log.info("resuming from step %d", manifest["step"])
    return int(manifest["step"])
