"""A diffusion model: a network, the objective that reads its head, the schedule it was trained with, its letters."""

from __future__ import annotations

from torch import nn

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.diffusion.contracts import LossTerms
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives import MDLM, Objective
from dnadiff.diffusion.schedules import LogLinear, Schedule
from dnadiff.diffusion.subs import SubsDenoiser
from dnadiff.models import Backbone, Caduceus
from dnadiff.vocab import Vocab


class ModelConfig(Settings):
    """Everything that a model is built from, besides its vocabulary."""

    model: Backbone = Caduceus()
    """The backbone."""
    objective: Objective = MDLM()
    """What is minimised, and how the head is read."""
    schedule: Schedule = LogLinear()
    """How fast letters are hidden."""


class DiffusionModel(nn.Module):
    """Network, objective, schedule and vocabulary together; its parameters are the network's."""

    def __init__(self, config: ModelConfig, vocab: Vocab) -> None:
        super().__init__()
        self.config = config
        self.vocab = vocab
        self.network = config.model.build(vocab)

    def loss(self, batch: Batch, noise: Noise) -> LossTerms:
        """Weighted nats of a batch under given noise."""
        return self.config.objective.loss(self.network, batch, noise, self.config.schedule, self.vocab)

    def denoiser(self) -> SubsDenoiser:
        """The network as a distribution over letters."""
        return self.config.objective.denoiser(self.network, self.vocab)

    def n_parameters(self) -> int:
        """Trainable numbers; tied tensors count once."""
        return sum(parameter.numel() for parameter in self.parameters())
