"""The root of a run's settings: everything that config.yaml holds."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from dnadiff.config import Settings
from dnadiff.data.genome import GenomeData
from dnadiff.diffusion.samplers import Ancestral, Sampler
from dnadiff.model import ModelConfig
from dnadiff.training.settings import OptimSettings, TrainSettings


class EvaluateSettings(Settings):
    """How the bound is measured."""

    split: Literal["train", "valid", "test"] = "test"
    """Which windows."""
    sweeps: int = Field(5, ge=1)
    """Independent choices of hidden positions for every window; fewer than 5 give a poor interval."""
    batch_size: int = Field(32, ge=1)
    """Windows at a time."""
    max_windows: int | None = Field(None, ge=1)
    """Score at most so many windows, evenly spread; null: all of them."""


class SampleSettings(Settings):
    """What is drawn from a model."""

    n: int = Field(64, ge=0)
    """Sequences."""
    length: int = Field(1024, ge=1)
    """Bases of each."""
    batch_size: int = Field(16, ge=1)
    """Sequences at a time; like the seed it enters what is drawn."""
    seed: int = Field(0, ge=0)
    """Seed of the draws."""
    sampler: Sampler = Ancestral()
    """How."""


class TrainConfig(ModelConfig):
    """Settings of `dnadiff train` and `dnadiff finetune`."""

    init: str = "none"
    """Run or checkpoint folder to start from; none: random weights."""
    data: GenomeData = GenomeData()
    """What is trained on."""
    optim: OptimSettings = OptimSettings()
    """Optimiser."""
    train: TrainSettings = TrainSettings()
    """Steps, batches, checkpoints."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """The figure at the end."""
    sample: SampleSettings = SampleSettings()
    """The sequences at the end."""
    markov_order: int = Field(8, ge=0, le=11)
    """Highest order of the Markov baselines beside the figure."""
    assumptions: tuple[str, ...] = ()
    """What is assumed where a paper is silent; copied to the manifest."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.data.jitter >= self.data.length:
            raise ValueError(
                f"data.jitter ({self.data.jitter}) must be below data.length ({self.data.length}); lower it"
            )
        return self
