"""The Lightning module: it steps and reports, nothing else.

One call of `training_step` is one optimiser step over all of this rank's rows, in micro-batches. The loss is divided
by the number of scored letters of the whole global batch, so that neither micro-batches nor ranks change the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import LossTerms
from dnadiff.diffusion.noise import Noise
from dnadiff.model import DiffusionModel
from dnadiff.models.decay import decay_groups
from dnadiff.rng import Stream, numpy_generator
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.training.sharded import local, whole
from dnadiff.training.steps import StepBatch


class StepResult(NamedTuple):
    """What a step reports: tensors on the device, read only when they are logged."""

    nats: Tensor  # () weighted nats summed over the step
    n_scored: Tensor  # () letters
    grad_norm: Tensor  # () before clipping


class LitSteps(LightningModule):
    """Trains any model by a loss of a batch under given noise."""

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Batch, Noise], LossTerms],
        optim: OptimSettings,
        train: TrainSettings,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self._loss = loss
        self._optim, self._train = optim, train

    def configure_optimizers(self) -> Any:
        decay, no_decay = decay_groups(self.model)
        groups = [
            {"params": decay, "weight_decay": self._optim.weight_decay},
            {"params": no_decay, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self._optim.lr, betas=self._optim.betas, fused=True)
        factor = self._optim.rate.factor
        scheduler = LambdaLR(optimizer, lambda step: factor(step, self._train.max_steps))
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def training_step(self, step_batch: StepBatch, _: int) -> dict[str, Any]:
        self._seed_layers(step_batch.step)
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        n_rows = len(step_batch.batch.tokens)
        nats, n_scored = torch.zeros((), device=self.device), torch.zeros((), device=self.device, dtype=torch.int64)
        size = self._train.micro_batch or n_rows
        for start in range(0, n_rows, size):
            with self._gradients_shared(is_last=start + size >= n_rows):
                terms = self._loss(*step_batch.rows(start, start + size))
                minimised = terms.nats if terms.surrogate is None else terms.surrogate
                self.manual_backward(minimised.sum() * self.trainer.world_size)
            nats += terms.nats.detach().sum()
            n_scored += terms.valid.sum()
        nats, n_scored = self._total(nats), self._total(n_scored)
        self._divide_gradients(n_scored)
        grad_norm = self._clip()
        if self._train.on_nan == "skip" and not bool((nats + grad_norm).isfinite()):
            optimizer.zero_grad()  # without gradients it leaves weights and moments as they are
        optimizer.step()
        optimizer.zero_grad()
        self.lr_schedulers().step()  # type: ignore[union-attr]
        return {"result": StepResult(nats, n_scored, grad_norm)}

    def _gradients_shared(self, *, is_last: bool) -> AbstractContextManager[None]:
        """Processes add up their gradients once a step, after the last micro-batch."""
        strategy = self.trainer.strategy
        return (
            nullcontext() if is_last or not isinstance(strategy, ParallelStrategy) else strategy.block_backward_sync()
        )

    def _divide_gradients(self, n_scored: Tensor) -> None:
        """By the letters of the whole global batch, which are known only after its last micro-batch."""
        gradients = [local(parameter.grad) for parameter in self.parameters() if parameter.grad is not None]
        torch._foreach_div_(gradients, n_scored.clamp(min=1).float())

    def _clip(self) -> Tensor:
        norm: Tensor = whole(torch.nn.utils.clip_grad_norm_(self.parameters(), self._optim.clip or math.inf))
        return norm

    def _total(self, value: Tensor) -> Tensor:
        return value if self.trainer.world_size == 1 else self.all_gather(value).sum()  # type: ignore[union-attr]

    def _seed_layers(self, step: int) -> None:
        """Dropout and the like depend on (seed, step, rank), so that a resumed step repeats them."""
        generator = numpy_generator(self._train.seed, Stream.NOISE, step, 1 + self.global_rank)
        torch.manual_seed(int(generator.integers(2**62)))


class LitDiffusion(LitSteps):
    """Trains a `DiffusionModel`."""

    model: DiffusionModel

    def __init__(self, model: DiffusionModel, optim: OptimSettings, train: TrainSettings) -> None:
        def loss(batch: Batch, noise: Noise) -> LossTerms:  # looked up in each step: sharding changes the method
            return model.loss(batch, noise)

        super().__init__(model, loss, optim, train)
