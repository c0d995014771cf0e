"""How sure a model is of hidden positions, and sampling the surest first (Chang et al. 2022; Kim et al. 2025).

Orders that depend on distributions alone leave the law exact as long as one position is revealed at a time. MaskGIT's
order, by the probability of the letter that was drawn, does not: unlikely letters are drawn again until they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, PosteriorDenoiser, Uniforms
from dnadiff.diffusion.samplers.drawing import OnGrid, draw_letters, highest, put, spread
from dnadiff.vocab import Vocab


def entropy(log_probs: Tensor) -> Tensor:
    """Nats: (n, n_letters) -> (n,)."""
    nats: Tensor = torch.special.entr(log_probs.exp()).sum(-1)
    return nats


def _confidence(log_probs: Tensor, drawn: Tensor) -> Tensor:
    return log_probs.amax(-1)


def _margin(log_probs: Tensor, drawn: Tensor) -> Tensor:
    first, second = log_probs.exp().topk(2, dim=-1).values.unbind(-1)
    return first - second


def _entropy(log_probs: Tensor, drawn: Tensor) -> Tensor:
    return -entropy(log_probs)


def _drawn(log_probs: Tensor, drawn: Tensor) -> Tensor:
    return log_probs.gather(-1, drawn[:, None])[:, 0]


SURENESS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "confidence": _confidence, "margin": _margin, "entropy": _entropy, "drawn": _drawn,
}  # fmt: skip
"""Of log-probabilities (n, n_letters) and indices of drawn letters (n,): (n,), highest first."""


def drawn_log_prob(log_probs: Tensor, tokens: Tensor, vocab: Vocab) -> Tensor:
    """(n,) log-probability of tokens (n,) that are letters."""
    return _drawn(log_probs, vocab.on(tokens.device).letter_index[tokens])


class Ordered(OnGrid):
    """The surest positions first, as many per step as the grid says; exact with one at a time, but for `drawn`."""

    takes: ClassVar[type] = PosteriorDenoiser
    letters_alike: ClassVar[bool] = True

    kind: Literal["ordered"] = "ordered"
    order: Literal["confidence", "margin", "entropy", "drawn"] = "confidence"
    """By the highest probability, its lead over the next, the least entropy, or the drawn letter's probability."""

    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""

        def decision(log_probs: Tensor, which: Tensor) -> tuple[Tensor, ...]:
            drawn = draw_letters(log_probs, which, vocab)
            return drawn, SURENESS[self.order](log_probs, vocab.on(drawn.device).letter_index[drawn])

        times = self.times()
        n_masks = (state.tokens == vocab.mask).sum(1)
        for before, after in zip(times.tolist(), times[1:].tolist(), strict=False):
            hidden = state.tokens == vocab.mask
            which = uniforms(hidden.shape[1])
            number = hidden.sum(1) - (n_masks * after).long()
            asked = hidden & (number > 0)[:, None]
            if asked.any():
                drawn, sureness = self.decide(denoiser, state, asked, before, decision, which)
                chosen = highest(spread(asked, sureness), number)
                state = put(state, chosen, drawn[chosen[asked]])
            yield state
