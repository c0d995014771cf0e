"""How a model is trained: optimiser, rates, steps, validation, checkpoints."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from dnadiff.config import Settings
from dnadiff.diffusion.noise import LowDiscrepancy, Times


class CosineRate(Settings):
    """Linear warm-up, then half a cosine from the full rate down to `final` of it at the last step."""

    kind: Literal["cosine"] = "cosine"
    warmup: float = Field(0.1, ge=0, le=1)
    """Share of the steps that warm up."""
    final: float = Field(0.1, ge=0, le=1)
    """Rate at the end, as a share of the full rate."""

    def factor(self, step: int, max_steps: int) -> float:
        """Share of the full rate at a step."""
        warmup_steps = round(self.warmup * max_steps)
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        done = min(1.0, (step - warmup_steps) / max(1, max_steps - warmup_steps))
        return self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * done))


class ConstantRate(Settings):
    """Linear warm-up, then the full rate."""

    kind: Literal["constant"] = "constant"
    warmup: float = Field(0.0, ge=0, le=1)
    """Share of the steps that warm up."""

    def factor(self, step: int, max_steps: int) -> float:
        """Share of the full rate at a step."""
        warmup_steps = round(self.warmup * max_steps)
        return min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0


Decay = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[CosineRate | ConstantRate, Field(discriminator="kind")]


class OptimSettings(Settings):
    """AdamW, its rate over time, clipping and the average of the weights."""

    lr: float = Field(1e-3, gt=0)
    """Full learning rate."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    """Adam's decay rates; Caduceus configures (0.9, 0.95) and prints them the other way round."""
    weight_decay: float = Field(0.1, ge=0)
    """Decay of matrices; none for biases, norms, A and D."""
    clip: float | None = Field(1.0, gt=0)
    """Largest norm of the gradient; null leaves it as it is."""
    rate: Rate = CosineRate()
    """Learning rate over time."""
    ema: float | None = Field(None, gt=0, lt=1)
    """Decay of the exponential moving average that is validated, saved and used; null uses the weights themselves."""

    def decay(self, n_averaged: int) -> float:
        """Of the average after so many steps: rises to `ema` from 0.1, so that it soon forgets the initial weights."""
        assert self.ema is not None
        return min(self.ema, (1 + n_averaged) / (10 + n_averaged))


class TrainSettings(Settings):
    """Steps, batches, validation and checkpoints."""

    max_steps: int = Field(300, ge=1)
    """Optimiser steps."""
    batch_size: int = Field(8, ge=1)
    """Windows per optimiser step, over all devices."""
    micro_batch: int | None = Field(None, ge=1)
    """Windows that a device holds at once; gradients of several add up to the step. null: all of them."""
    seed: int = Field(0, ge=0)
    """Decides initial weights, order, strands, shifts and noise."""
    times: Times = LowDiscrepancy()
    """How the times of a step are drawn."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the matrix products; losses and scan states are float32 in both."""
    strategy: Literal["ddp", "fsdp"] = Field("ddp", exclude=True)
    """How processes that torchrun starts hold the model: ddp: each all of it; fsdp: each a share, for large models. No
    part of a run, which may go on with the other."""
    recompute: bool = False
    """Compute a block's activations again in the backward pass instead of keeping them: slower, for long windows."""
    workers: int = Field(0, ge=0)
    """Processes that read ahead; they do not change what is read."""
    read_timeout: float = Field(600, ge=0)
    """Seconds that such a process may take for a step before the run ends; 0: as long as it likes."""
    log_every: int = Field(10, ge=1)
    """Steps between rows of metrics.csv."""
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = Field((), exclude=True)
    """What is told these rows too, each an extra of its name. No part of a run, which may go on with others."""
    validate_every: int = Field(100, ge=1)
    """Steps between validations."""
    valid_windows: int = Field(64, ge=1)
    """Windows of the validation split that are scored each time, evenly spread."""
    checkpoint_every: int = Field(100, ge=1)
    """Steps between checkpoints."""
    keep: int = Field(2, ge=2)
    """Newest checkpoints kept; the best by validation is kept as well."""
    keep_going: bool = False
    """Train on where a checkpoint before the last cannot be written, as on a full disk."""
    on_nan: Literal["stop", "skip"] = "stop"
    """Where a loss or gradient is no finite number: end the run, or leave the weights as they are in that step."""
    patience: int | None = Field(None, ge=1)
    """Validations without improvement before training stops; null: never."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.micro_batch is not None and self.micro_batch > self.batch_size:
            raise ValueError(f"micro_batch ({self.micro_batch}) exceeds batch_size ({self.batch_size}); lower it")
        return self
