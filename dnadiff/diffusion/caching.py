"""No network call for what is known: a denoiser that runs only the rows that are asked something new.

The published samplers reuse an answer when no row of the batch has changed (Sahoo et al. 2024); here each row counts
for itself, and one that is asked nothing is not run.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import Answers, answers_of
from dnadiff.diffusion.contracts import PosteriorDenoiser
from dnadiff.errors import InputError


class Cached:
    """A denoiser for one run of a sampler, whose rows keep all but their tokens; gives what the one inside gives.

    Attributes:
        n_rows: rows that the denoiser inside was run on.
    """

    time_conditioned = False

    def __init__(self, denoiser: PosteriorDenoiser) -> None:
        """Wrap a denoiser.

        Raises:
            InputError: it is told the time, so that the same row at another time is another question.
        """
        if denoiser.time_conditioned:
            raise InputError("a network that is told the time cannot be cached; sample from it without a cache")
        self.n_rows = 0
        self._denoiser = denoiser
        self._last: tuple[Tensor, Tensor, Answers] | None = None  # tokens, wanted, what was answered

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        """Log-probabilities at `wanted`; see `PosteriorDenoiser`."""
        return self.answers(batch, wanted).all()

    def answers(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Answers:
        """The same in parts; what is kept is what the head takes, not what it says."""
        if self._last is None:
            answers = self._run(batch, wanted)
        else:
            tokens, asked, last = self._last
            known = ((batch.tokens == tokens) & (wanted == asked)).all(1)  # (batch,)
            of_known = known[wanted.nonzero()[:, 0]]  # (n,)
            kept = known[asked.nonzero()[:, 0]]
            given = tuple(part.new_empty(len(of_known), *part.shape[1:]) for part in last.given)
            for part, old in zip(given, last.given, strict=True):
                part[of_known] = old[kept]
            new = wanted.any(1) & ~known
            if new.any():
                for part, fresh in zip(given, self._run(batch.where(new), wanted[new]).given, strict=True):
                    part[~of_known] = fresh
            answers = replace(last, given=given)
        self._last = (batch.tokens, wanted, answers)
        return answers

    def _run(self, batch: Batch, wanted: Tensor) -> Answers:
        self.n_rows += len(wanted)
        return answers_of(self._denoiser, batch, wanted)
