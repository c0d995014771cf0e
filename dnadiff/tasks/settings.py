"""The root of a run's settings: everything that config.yaml holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from dnadiff import config
from dnadiff.config import Settings
from dnadiff.data.domains import Data
from dnadiff.data.genome import GenomeData
from dnadiff.data.text.tokenizer import KEPT
from dnadiff.diffusion.estimators import Estimator, Numbers
from dnadiff.diffusion.samplers import Auto, Sampler
from dnadiff.errors import InputError
from dnadiff.inference.sample import Wanted
from dnadiff.model import ModelConfig
from dnadiff.models import Backbone
from dnadiff.models.kernels import Kernels
from dnadiff.run import find_checkpoint, lasting_name
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.vocab import Vocab

SHORTEST_SAMPLE = 8  # a few of the 4-mers that samples are compared by


class EvaluateSettings(Settings):
    """How a model is measured."""

    split: Literal["train", "valid", "test"] = "test"
    """Which windows."""
    protocol: Literal["strict", "paper"] = "strict"
    """strict: the likelihood or its bound, over all masked fractions; paper: the training loss, as its authors do."""
    estimator: Estimator = Numbers()
    """How the masks of a bound in continuous time are drawn."""
    T: int | None = Field(None, ge=1)
    """Steps of a bound in discrete time; null: as the model was trained."""
    strands: Literal["given", "both"] = "given"
    """both: of the law that draws either strand with equal chance, for networks that tell strands apart."""
    sweeps: int = Field(5, ge=2)
    """Independent choices of hidden positions for every window; fewer than 5 give a poor interval."""
    batch_size: int = Field(32, ge=1)
    """Windows at a time."""
    max_windows: int | None = Field(None, ge=1)
    """Score at most so many windows, evenly spread; null: all of them."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.protocol == "paper" and self.strands == "both":
            raise ValueError("protocol=paper is the training loss of windows as they are; leave strands at given")
        if self.estimator != Numbers() and (self.protocol == "paper" or self.T is not None):
            raise ValueError("estimator has no part in protocol=paper, nor where T is set; leave it out")
        return self

    def chosen(self, n_windows: int) -> np.ndarray:
        """(n,) numbers of the windows that are scored, evenly spread, in genome order."""
        n = min(n_windows, self.max_windows or n_windows)
        return np.unique(np.linspace(0, n_windows - 1, n).round().astype(np.int64)) if n else np.empty(0, np.int64)


class SampleSettings(Wanted):
    """What is drawn from a model."""

    n: int = Field(64, ge=0)
    """Sequences."""
    length: int = Field(1024, ge=1)
    """Bases or tokens of each."""
    batch_size: int = Field(16, ge=1)
    """Sequences at a time."""
    seed: int = Field(0, ge=0)
    """Seed of the draws."""
    sampler: Sampler = Auto()
    """How."""


class PlanSettings(Settings):
    """What `--dry-run` reckons with; no part of a run."""

    devices: int = Field(1, ge=1)
    """GPUs that share every step."""
    tokens_per_second: float | None = Field(None, gt=0)
    """That one of them trains on, by assumption or from a shorter run; null: hours are left open."""


class TrainConfig(ModelConfig):
    """Settings of `dnadiff train` and `dnadiff finetune`."""

    init: str = "none"
    """Run, checkpoint, published model or hf:owner/name[@revision] to start from; none: random weights."""
    data: Data = GenomeData()
    """What is trained on."""
    optim: OptimSettings = OptimSettings()
    """Optimiser."""
    train: TrainSettings = TrainSettings()
    """Steps, batches, checkpoints."""
    evaluate: EvaluateSettings = EvaluateSettings()
    """The figure at the end."""
    sample: SampleSettings = SampleSettings()
    """The sequences at the end."""
    kernels: Kernels = Kernels()
    """What computes scans, convolutions and attention."""
    plan: PlanSettings = Field(PlanSettings(), exclude=True)
    """What `--dry-run` reckons with."""
    markov_order: int = Field(8, ge=0, le=11)
    """Highest order of the Markov baselines beside the figure."""
    assumptions: tuple[str, ...] = ()
    """What is assumed where a paper is silent; copied to the manifest."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        is_dna = isinstance(self.data, GenomeData)
        if is_dna and self.sample.n and self.sample.length < SHORTEST_SAMPLE:
            raise ValueError(f"sample.length ({self.sample.length}) must be {SHORTEST_SAMPLE} or more, for its k-mers")
        if not is_dna and self.evaluate.strands == "both":
            raise ValueError("evaluate.strands=both: text has no opposite strand; leave it at given")
        try:
            self.objective.sampler(self.sample.sampler)
        except InputError as error:
            raise ValueError(f"sample.{error}") from None
        return self


def resolve(preset: str | Sequence[str], words: Sequence[str], flags: Mapping[str, Any]) -> TrainConfig:
    """Settings of a run from a preset, flags and words, with what flags imply.

    `--bed` brings its own split, unless words name one; `--init` brings its model's architecture, and the tokenizer of
    a model of text; file names become absolute, so that a run can be used from another folder.

    Raises:
        InputError: as `dnadiff.config.resolve`; `--init` holds no model.
    """
    implied: dict[str, Any] = {}
    if flags.get("data.windows"):
        implied["data.split"] = {"kind": "auto"}
    if flags.get("init") not in (None, "none"):
        implied["init"] = lasting_name(Path(flags["init"]).expanduser())
        source = find_checkpoint(Path(implied["init"]))
        implied["model"] = config.read(ModelConfig, source / "config.yaml").model.model_dump()
        implied |= tokenizer_of(source)
    settings = config.resolve(TrainConfig, preset, words, **{**flags, **implied})
    if "init" in implied:
        require_same_network(settings.init, settings.model)
    return settings.model_copy(update={"data": settings.data.with_absolute_paths()})


def require_same_network(init: str, asked: Backbone) -> None:
    """A network keeps the architecture that its weights have.

    Args:
        init: what it starts from, by its lasting name.
        asked: what the settings say.

    Raises:
        InputError: settings that name another one.
    """
    if init == "none":
        return
    theirs = config.read(ModelConfig, find_checkpoint(Path(init)) / "config.yaml").model
    changed = config.differences({"model": theirs.model_dump()}, {"model": asked.model_dump()})
    if changed:
        raise InputError(
            f"{init}: {', '.join(changed[:3])}; leave model.* out, or start from other weights with --init"
        )


def require_same_vocab(model: Vocab, data: Vocab, *, where: Path) -> None:
    """A model reads the tokens that it was trained on.

    Raises:
        InputError: the data have others.
    """
    if model.digest() != data.digest():
        raise InputError(
            f"{where}: knows other tokens ({model.size:,}) than these data have ({data.size:,}); "
            "leave data.tokenizer and data.kind as the model's run had them, or start with --init none"
        )


def tokenizer_of(checkpoint: Path) -> dict[str, str]:
    """The setting that reads text as the model in a checkpoint folder does; none for other models."""
    path = (checkpoint / KEPT).absolute()
    return {"data.tokenizer": str(path)} if path.is_file() else {}
