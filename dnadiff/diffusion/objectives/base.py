"""What the settings of every objective tell before anything is built."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Self

from dnadiff.config import Settings
from dnadiff.diffusion.contracts import Likelihood, SequenceSampler, TrainingObjective
from dnadiff.diffusion.learned_schedule import Learned
from dnadiff.diffusion.samplers import Ancestral, Auto, Sampler
from dnadiff.diffusion.schedules import LogLinear
from dnadiff.errors import InputError
from dnadiff.network import BackboneSettings, Network
from dnadiff.vocab import Vocab


class ObjectiveSettings(Settings):
    """Settings of an objective."""

    n_uniforms: ClassVar[int] = 1
    likelihood: ClassVar[Likelihood] = Likelihood.BOUND
    plain: ClassVar[type[SequenceSampler]] = Ancestral
    """What draws from it where no sampler is named."""
    remark: ClassVar[str] = ""
    """What one must know to read the figures of a run while it trains."""
    letters_alike: ClassVar[bool] = True
    """Whether all letters are hidden at the same rate."""
    scheduled: ClassVar[bool] = True
    """Whether letters are hidden by the masking schedule."""

    @property
    def estimated(self) -> bool:
        """See `TrainingObjective`."""
        return False

    @abstractmethod
    def build(self, network: Network, vocab: Vocab) -> TrainingObjective:
        """The objective, with its parameters; itself, where nothing is learned beside the network."""

    def misfit(self, backbone: BackboneSettings, schedule: Settings) -> str | None:
        """Why it cannot go with this backbone or schedule, and the mend; None if it can."""
        if isinstance(schedule, Learned):
            return "schedule learned is for objective genmd4; choose another schedule.kind"
        if not self.scheduled and schedule != LogLinear():
            return f"objective {type(self).__name__} does not use a masking schedule; leave schedule.* out"
        return None

    def in_steps(self, n_steps: int) -> Self:
        """The same, as a chain of so many steps.

        Raises:
            InputError: it has no bound in discrete time.
        """
        raise InputError(f"evaluate.T: {type(self).__name__} has no bound in discrete time; leave T out")

    def sampler(self, asked: Sampler) -> SequenceSampler:
        """The sampler that settings mean for this objective.

        Raises:
            InputError: it takes another type of denoiser, or of schedule, than this objective gives.
        """
        if isinstance(asked, Auto):
            return asked.of(self.plain)
        if asked.takes not in self.plain.takes.__mro__:
            raise InputError(
                f"sampler.kind: {asked.kind} draws from a {asked.takes.__name__}, the objective gives a "
                f"{self.plain.takes.__name__}; choose auto"
            )
        if asked.letters_alike and not self.letters_alike:
            raise InputError(f"sampler.kind: {asked.kind} is for schedules that hide all letters alike; choose auto")
        return asked
