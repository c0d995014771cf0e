"""Fine-tune a classifier: batches of labelled rows by step, validation once an epoch, the best weights kept.

A unit of a benchmark is small, so it is not resumed in its middle: what is kept is what it ends with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.utils.data import Dataset

from dnadiff.batch import Batch
from dnadiff.data.labelled.examples import Examples, Layout
from dnadiff.data.leakage.ranges import Ints
from dnadiff.diffusion.contracts import LossTerms
from dnadiff.diffusion.noise import Noise
from dnadiff.errors import DivergedError, InterruptedRun
from dnadiff.rng import Stream, epoch_order, numpy_generator
from dnadiff.training.callbacks import as_used
from dnadiff.training.lit import LitSteps, StepResult
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.training.steps import MOST_NAMED, StepBatch, StepLoader
from dnadiff.training.trainer import make_trainer, moving_average, quiet, stop_on_signal
from dnadiff.training.workers import lost_workers


class LabelledSteps(Dataset[StepBatch]):
    """Batches of labelled rows by step number, in an order that visits every row once per epoch."""

    def __init__(
        self, examples: Examples, rows: Ints, layout: Layout, *, seed: int, batch_size: int, both_strands: bool
    ) -> None:
        """Args: rows: (n,) those to learn from; both_strands: draw the strand of each row at random."""
        self._examples, self._rows, self._layout = examples, rows, layout
        self._seed, self._batch_size, self._both_strands = seed, batch_size, both_strands

    def __getitem__(self, step: int) -> StepBatch:
        positions = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        epochs, places = np.divmod(positions, len(self._rows))
        orders = {epoch: epoch_order(self._seed, epoch, len(self._rows)) for epoch in np.unique(epochs).tolist()}
        rows = self._rows[[orders[epoch][place] for epoch, place in zip(epochs.tolist(), places, strict=True)]]
        generator = numpy_generator(self._seed, Stream.AUGMENT, step)
        is_reverse = generator.random(len(rows)) < 0.5 if self._both_strands else None
        batch = self._examples.batch(rows, self._layout, is_reverse)
        nothing = Noise(torch.empty(len(rows)), torch.empty(len(rows), 0, 0))  # the loss draws none
        return StepBatch(step, torch.from_numpy(rows), batch, nothing)

    def describe(self, step: int) -> str:
        """What a step reads, for messages."""
        return f"step {step + 1}, rows {self[step].indices[:MOST_NAMED].tolist()}"


class Best(NamedTuple):
    """The validation that weights were kept of."""

    step: int
    score: float


class KeepBest(Callback):
    """Scores the model every so many steps, and keeps the weights of the best time, the first among equals."""

    def __init__(self, score: Callable[[], float], settings: TrainSettings, ema: WeightAveraging | None) -> None:
        self._score, self._settings, self._ema = score, settings, ema
        self.best = Best(0, -math.inf)
        self.weights: dict[str, Tensor] = {}
        self._waited = 0
        self._stop_requested = False

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: StepBatch, *_: Any
    ) -> None:
        if self._stop_requested:
            raise InterruptedRun("interrupted; the same command goes on with what is not finished")
        step = trainer.global_step
        if step % self._settings.validate_every and step != trainer.max_steps:
            return
        _check(outputs["result"], step)
        assert isinstance(pl_module, LitSteps)
        with as_used(trainer, pl_module, self._ema), trainer.precision_plugin.forward_context():
            score = self._score()
            self._waited += 1
            if score > self.best.score:
                self.best, self._waited = Best(step, score), 0
                state = pl_module.model.state_dict()
                self.weights = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
        trainer.should_stop = self._settings.patience is not None and self._waited >= self._settings.patience

    def request_stop(self) -> None:
        """Ask for an end after the step in progress; nothing of the unit is kept."""
        self._stop_requested = True


def fit_classes(
    model: nn.Module,
    steps: LabelledSteps,
    score: Callable[[], float],
    *,
    optim: OptimSettings,
    train: TrainSettings,
    rate_steps: int | None = None,
) -> Best:
    """Train until `train.max_steps`; the model ends with the weights that scored best.

    Args:
        model: from a batch to (batch, classes) logits, or to (batch, 1) numbers where labels are numbers.
        steps: what to learn from.
        score: of the model as it is, in evaluation mode, on validation rows; higher is better.
        rate_steps: over which the learning rate takes its course; None: those of the training.

    Raises:
        DivergedError: the loss is no longer a number.
        InterruptedRun: the user stopped it.
    """

    def loss(batch: Batch, _: Noise) -> LossTerms:
        assert batch.label is not None
        said = model(batch).float()
        if batch.label.is_floating_point():
            cost = (said - batch.label.float()[:, None]).square()
        else:
            cost = nn.functional.cross_entropy(said, batch.label, reduction="none")[:, None]
        return LossTerms(cost, torch.ones_like(cost, dtype=torch.bool))

    ema = moving_average(optim)
    keep = KeepBest(score, train, ema)
    loader = StepLoader(steps, start=0, stop=train.max_steps, workers=train.workers, timeout=train.read_timeout)
    course = train.model_copy(update={"max_steps": rate_steps or train.max_steps})
    with quiet(), stop_on_signal(keep):
        trainer = make_trainer(train, [*([ema] if ema else []), keep], enable_checkpointing=False)
        with lost_workers(lambda: steps.describe(trainer.global_step)):
            trainer.fit(LitSteps(model, loss, optim, course), loader)
    model.load_state_dict(keep.weights)
    model.eval()
    return keep.best


def _check(result: StepResult, step: int) -> None:
    if not (math.isfinite(float(result.nats)) and math.isfinite(float(result.grad_norm))):
        raise DivergedError(f"step {step}: the loss is {float(result.nats)}; lower optim.lr or optim.clip")
