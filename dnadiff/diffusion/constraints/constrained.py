"""A denoiser whose letters keep hard constraints, whatever a sampler makes of its answers.

The reverse step of masked diffusion draws, at heart, a whole row from the denoiser's independent letters and reveals
a part of it. Here that row is drawn given that it keeps every rule, and the answer is the drawn letter with probability
1. So each step has exactly the law of the sampler's own step given that the row its letters were taken from keeps the
rules; what is revealed can always be completed, and the last step leaves a row that keeps them.

That is the law of the sampler's rows given the rules only where the hidden letters are independent given the visible
ones. Else it is near it: the look-ahead judges what is still hidden by the model's independent letters. How much
likelier a row is under the exact law than it was drawn is known, up to a factor of all rows: each state's chance to
keep the rules as the next step judges it, over that chance as the step before judged it, multiplied along the way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.constraints.joint import RULED_OUT, Lattices
from dnadiff.diffusion.contracts import PosteriorDenoiser, SequenceSampler
from dnadiff.diffusion.samplers import Ancestral, FirstHitting, ReMDM
from dnadiff.errors import InputError
from dnadiff.vocab import Vocab


class Constrained:
    """A denoiser for one run of a sampler, whose masks are the free positions of the lattices.

    Attributes:
        log_importance: (batch,) float64, log of how much likelier a finished row is under the sampler's own law given
            the rules than it was drawn, less what is the same for all fillings; for samplers that hide nothing again.
    """

    def __init__(
        self,
        denoiser: PosteriorDenoiser,
        lattices: Lattices,
        vocab: Vocab,
        streams: Sequence[np.random.Generator],
        *,
        sharpen: Callable[[Tensor], Tensor] = torch.Tensor.double,
        weigh: bool = False,
    ) -> None:
        """Wrap a denoiser.

        Args:
            lattices: of the rows of the batch.
            streams: random numbers of each row.
            sharpen: what the sampler does to log-probabilities before it draws; of no effect on certain letters, so it
                is done here.
            weigh: keep account of `log_importance`, which takes as long again as drawing.
        """
        self.time_conditioned = denoiser.time_conditioned
        self._denoiser, self._lattices, self._vocab = denoiser, lattices, vocab
        self._streams, self._sharpen, self._weigh = streams, sharpen, weigh
        self._judged: Tensor | None = None  # (batch, most, n_letters): what each row was last drawn from
        self._is_judged = torch.zeros(len(streams), dtype=torch.bool)
        self.log_importance = torch.zeros(len(streams), dtype=torch.float64)

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        """(n, n_letters) float64: 0 for the drawn letter of each wanted position, which must be hidden, else -inf."""
        asked = wanted.any(1)
        hidden = (batch.tokens == self._vocab.mask) & asked[:, None]
        law = self._sharpen(self._denoiser(batch, hidden, t)).double().cpu()
        log_weights = self._log_weights(batch.tokens.cpu(), hidden.cpu(), law)
        log_chances = self._lattices.log_chances(log_weights)
        if self._weigh:
            self._account(batch.tokens.cpu(), asked.cpu(), log_weights, log_chances[0][:-1])
        letters = self._lattices.draw(log_weights, log_chances, self._uniforms(asked))
        row, column = self._lattices.is_free.nonzero(as_tuple=True)
        drawn = torch.zeros(wanted.shape, dtype=torch.int64)
        drawn[row, self._lattices.positions[row, column]] = letters[row, column]
        chosen = torch.nn.functional.one_hot(drawn.to(wanted.device)[wanted], self._vocab.n_letters)
        return chosen.double().log()

    def _log_weights(self, tokens: Tensor, hidden: Tensor, law: Tensor) -> Tensor:
        """(batch, most, n_letters): the law of hidden positions, and certainty of visible ones."""
        index = self._vocab.letter_index[tokens]
        weights = torch.nn.functional.one_hot(index.clamp(min=0), self._vocab.n_letters).double().log()
        weights[index < 0] = 0.0  # of rows that are not asked now
        weights[hidden] = law.clamp(min=RULED_OUT)
        free = self._lattices
        weights = weights.gather(1, free.positions[..., None].expand(-1, -1, weights.shape[2]))
        return torch.where(free.is_free[..., None], weights, 0.0)

    def _account(self, tokens: Tensor, asked: Tensor, log_weights: Tensor, now: Tensor) -> None:
        """Take into `log_importance` what the rows that are asked have come to since they were last."""
        judged = log_weights if self._judged is None else self._judged
        hidden = (tokens == self._vocab.mask).gather(1, self._lattices.positions) & self._lattices.is_free
        before = self._lattices.log_chances(torch.where(hidden[..., None], judged, log_weights))[0][:-1]
        self.log_importance += torch.where(asked & self._is_judged, now - before, 0.0)
        self._judged = torch.where(asked[:, None, None], log_weights, judged)
        self._is_judged |= asked

    def _uniforms(self, asked: Tensor) -> Tensor:
        """(batch, most) float64: new ones of the rows that are asked only, so that no row depends on its neighbours."""
        drawn = np.zeros(self._lattices.is_free.shape)
        for row in asked.nonzero()[:, 0].tolist():
            n_free = int(self._lattices.is_free[row].sum())
            drawn[row, :n_free] = self._streams[row].random(n_free)
        return torch.from_numpy(drawn)


def check_sampler(sampler: SequenceSampler, *, weigh: bool = False) -> None:
    """Refuse samplers that look at how sure letters are, and to weigh what one draws that hides letters again.

    Raises:
        InputError: the sampler is one of them, or takes no posterior.
    """
    blind = isinstance(sampler, Ancestral | FirstHitting) or (isinstance(sampler, ReMDM) and sampler.remask != "conf")
    if not blind:
        raise InputError(
            f"sampler.kind: {sampler.kind} cannot keep constraints; choose ancestral, first_hitting, or remdm with "
            "remask cap or rescale"
        )
    if weigh and isinstance(sampler, ReMDM):
        raise InputError(
            f"candidates: {sampler.kind} hides letters again; choose ancestral or first_hitting, or 1 candidate"
        )
