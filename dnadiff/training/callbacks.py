"""What happens between steps: validation, metrics.csv, progress, checkpoints, and stopping.

Validation runs here and not in Lightning's own loop, before the checkpoint of the same step: what a resumed run sees
is then exactly what the interrupted one saw, early stopping included.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import Likelihood
from dnadiff.diffusion.noise import Noise
from dnadiff.errors import DivergedError, InterruptedRun, ResourceError
from dnadiff.files import unfinished
from dnadiff.model import DiffusionModel
from dnadiff.run import RunFolder
from dnadiff.training.lit import LitDiffusion, StepResult
from dnadiff.training.metrics import Metrics, unit_of
from dnadiff.training.settings import TrainSettings
from dnadiff.training.steps import StepBatch
from dnadiff.world import anywhere, gathered

log = logging.getLogger("dnadiff")
MOST_UNCHECKED = 100  # steps whose results are kept on the device before they are looked at


class Validate(Callback):
    """The loss on fixed windows with fixed noise, every so many steps; stops a run that no longer improves."""

    def __init__(self, batches: list[tuple[Batch, Noise]], settings: TrainSettings, ema: WeightAveraging | None):
        self._batches, self._settings, self._ema = batches, settings, ema
        self.latest: float | None = None
        self._best, self._waited = math.inf, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = self._is_over()  # a run that had stopped stays stopped when it is started again

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.latest = None
        if not _is_due(trainer, self._settings.validate_every):
            return
        assert isinstance(pl_module, LitDiffusion)
        with as_used(trainer, pl_module, self._ema):
            self.latest = self._loss(trainer, pl_module)
        self._waited = 0 if self.latest < self._best else self._waited + 1
        self._best = min(self._best, self.latest)
        trainer.should_stop = self._is_over()

    def _is_over(self) -> bool:
        return self._settings.patience is not None and self._waited >= self._settings.patience

    def _loss(self, trainer: Trainer, module: LitDiffusion) -> float:
        """Of a likelihood over the whole of time, else of the objective as it is trained; in the unit of either."""
        likelihood = module.model.objective.likelihood
        score = _trained_loss if likelihood is Likelihood.NONE else _row_nats
        found: dict[int, tuple[float, int]] = {}
        with trainer.precision_plugin.forward_context():
            for start in range(0, len(self._batches), trainer.world_size):
                number = (start + trainer.global_rank) % len(self._batches)  # again, rather than that others wait
                batch, noise = self._batches[number]
                nats, n_scored = score(module.model, batch.to(module.device), noise.to(module.device))
                found[number] = float(nats), int(n_scored)
        for others in gathered(found):
            found |= others
        total_nats, total_scored = map(sum, zip(*(found[number] for number in sorted(found)), strict=True))
        return total_nats / max(1, total_scored) / unit_of(likelihood).nats

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best, "waited": self._waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best, self._waited = state_dict["best"], state_dict["waited"]


class Report(Callback):
    """Writes metrics.csv, shows progress, and stops a run whose loss is no longer a number."""

    def __init__(self, run: RunFolder, metrics: Metrics, settings: TrainSettings, validate: Validate) -> None:
        self._run, self._metrics, self._settings, self._validate = run, metrics, settings, validate
        self._unchecked: list[tuple[StepBatch, StepResult]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._metrics.start(trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: StepBatch, *_: Any
    ) -> None:
        result: StepResult = outputs["result"]
        self._metrics.count(batch.batch.tokens.numel() * trainer.world_size)
        self._unchecked.append((batch, result))
        due = _is_due(trainer, self._settings.log_every) or self._validate.latest is not None
        if due or pl_module.device.type == "cpu" or len(self._unchecked) >= MOST_UNCHECKED:
            self.check(trainer)
        if not (due and trainer.is_global_zero):
            return
        with going_on(self._settings.keep_going and not _is_over(trainer)):
            told = self._metrics.write(
                step=trainer.global_step,
                train=self._loss(result),
                valid=self._validate.latest,
                lr=trainer.optimizers[0].param_groups[0]["lr"],
                grad_norm=float(result.grad_norm),
            )
            for logger in trainer.loggers:
                logger.log_metrics(told, step=trainer.global_step)

    def check(self, trainer: Trainer) -> None:
        """Look at the steps since the last look, which waits for the device; what made one diverge is kept in a file.

        Raises:
            DivergedError: the loss or gradient of one of them is not a finite number; names the first.
        """
        for batch, result in self._unchecked:
            loss = self._loss(result)
            if not (math.isfinite(loss) and math.isfinite(float(result.grad_norm))):
                what = _describe_divergence(trainer, batch, f"{loss} {self._metrics.unit.text}")
                what += f"; the batch is in {_keep(batch, self._run.path, trainer)}"
                if self._settings.on_nan == "stop":
                    raise DivergedError(
                        f"{what}; the last checkpoint is kept: lower optim.lr or optim.clip and start a new run, or "
                        "leave such steps out with train.on_nan=skip --force"
                    )
                log.warning("%s; left out", what)
        self._unchecked.clear()

    def _loss(self, result: StepResult) -> float:
        return float(result.nats) / max(1, int(result.n_scored)) / self._metrics.unit.nats

    def on_exception(self, *_: Any) -> None:
        self._metrics.stop()

    def on_train_end(self, *_: Any) -> None:
        self._metrics.stop()


class SaveCheckpoints(Checkpoint):
    """Saves every so many steps, at every validation, and at the end; runs last, after all state is up to date."""

    def __init__(self, run: RunFolder, settings: TrainSettings, validate: Validate, report: Report) -> None:
        self._run, self._settings, self._validate, self._report = run, settings, validate, report
        self._stop_requested = False
        self.is_needed = True  # the checkpoint that is being saved, else a full disk may be waited out

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        stop = anywhere(self._stop_requested)
        if _is_due(trainer, self._settings.checkpoint_every) or self._validate.latest is not None or stop:
            self._report.check(trainer)
            self.is_needed = stop or _is_over(trainer) or not self._settings.keep_going
            trainer.save_checkpoint(self._run.checkpoint(trainer.global_step))
            if trainer.is_global_zero:
                self._run.prune(self._settings.keep)
        if stop:
            raise InterruptedRun(f"interrupted at step {trainer.global_step}; the same command goes on from there")

    def request_stop(self) -> None:
        """Ask for a checkpoint and an end after the step in progress."""
        self._stop_requested = True


@contextmanager
def as_used(trainer: Trainer, module: LightningModule, ema: WeightAveraging | None) -> Iterator[None]:
    """Evaluation mode and averaged weights inside the block, what was there before afterwards."""
    module.eval()
    if ema is not None:
        ema.on_validation_epoch_start(trainer, module)
    try:
        yield
    finally:
        if ema is not None:
            ema.on_validation_epoch_end(trainer, module)
        module.train()


@contextmanager
def going_on(without: bool) -> Iterator[None]:
    """Inside the block, what cannot be written is warned of and done without, if that is asked for."""
    try:
        yield
    except ResourceError as error:
        if not without:
            raise
        log.warning("%s; training on without it", error)


def _is_over(trainer: Trainer) -> bool:
    """Whether this step is the last."""
    return trainer.should_stop or trainer.global_step == trainer.max_steps


def _is_due(trainer: Trainer, every: int) -> bool:
    return trainer.global_step % every == 0 or trainer.global_step == trainer.max_steps


def _row_nats(model: DiffusionModel, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
    """Nats of one draw, and of how many letters."""
    return model.row_nats(batch, noise).sum(), model.vocab.is_letter(batch.tokens).sum()


@torch.no_grad()
def _trained_loss(model: DiffusionModel, batch: Batch, noise: Noise) -> tuple[Tensor, Tensor]:
    """Nats of the loss, and of how many predicted letters."""
    terms = model.loss(batch, noise)
    return terms.nats.double().sum(), terms.valid.sum()


def _describe_divergence(trainer: Trainer, batch: StepBatch, loss: str) -> str:
    rate = trainer.optimizers[0].param_groups[0]["lr"]
    windows = batch.indices.tolist()[:16]
    return f"step {batch.step + 1}: the loss is {loss} at learning rate {rate:.2g}, windows {windows}"


def _keep(batch: StepBatch, folder: Path, trainer: Trainer) -> str:
    """Write what a step of this process was given; the name of the file."""
    rank = f"-rank-{trainer.global_rank}" if trainer.world_size > 1 else ""
    path = folder / f"bad-step-{batch.step + 1:08d}{rank}.npz"
    tokens, times, uniforms = (part.cpu() for part in (batch.batch.tokens, batch.noise.times, batch.noise.uniforms))
    with unfinished(path) as temporary, temporary.open("wb") as file:
        np.savez(file, windows=batch.indices, tokens=tokens, times=times, uniforms=uniforms)
    return path.name
