"""Lightning's own loggers beside metrics.csv: TensorBoard, Weights & Biases. Extras; none unless it is asked for."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec

import yaml
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from dnadiff.errors import InputError
from dnadiff.run import RunFolder

PROJECT = "dnadiff"  # of Weights & Biases, unless WANDB_PROJECT names another


def require_loggers(names: Sequence[str]) -> None:
    """All of these are installed.

    Raises:
        InputError: one is not.
    """
    for name in names:
        if find_spec(name) is None:
            raise InputError(f"train.loggers: {name} is not installed; pip install 'dnadiff[{name}]', or leave it out")


@contextmanager
def opened(names: Sequence[str], run: RunFolder, *, start: int) -> Iterator[list[Logger]]:
    """The loggers of a run; one that is resumed goes on with the same log.

    Args:
        start: step that the run goes on from; what was logged after it is logged again.
    """
    loggers = [_LOGGERS[name](run, start) for name in names]
    settings = yaml.safe_load(run.config.read_text()) if run.config.is_file() else {}
    try:
        for logger in loggers:
            logger.log_hyperparams(settings)
        yield loggers
    finally:
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()  # else the next run of this process would be logged as the same


def _tensorboard(run: RunFolder, start: int) -> Logger:
    return TensorBoardLogger(
        run.path, "tensorboard", version="", default_hp_metric=False, purge_step=start + 1 if start else None
    )


def _wandb(run: RunFolder, start: int) -> Logger:
    known = json.loads(run.manifest.read_text()) if run.manifest.is_file() else {}
    if "wandb" not in known:
        run.add_to_manifest(wandb=secrets.token_hex(4))
        return _wandb(run, start)
    project = os.environ.get("WANDB_PROJECT", PROJECT)
    return WandbLogger(run.path.name, run.path, id=known["wandb"], project=project, resume="allow")


_LOGGERS: dict[str, Callable[[RunFolder, int], Logger]] = {"tensorboard": _tensorboard, "wandb": _wandb}
