"""Autoregressive sampling: letter by letter from left to right, each drawn from its distribution given those before it.

Exact in law. A network is asked once per position, and only about that position.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NextToken, NoiseSchedule, Uniforms
from dnadiff.diffusion.samplers.drawing import Sharpened, draw_letters
from dnadiff.errors import InputError
from dnadiff.vocab import Vocab


class Autoregressive(Sharpened):
    """From left to right."""

    takes: ClassVar[type] = NextToken

    kind: Literal["ar"] = "ar"

    def n_steps(self, length: int) -> int:
        """One per position."""
        return length

    def sample(
        self, denoiser: NextToken, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of a copy of `state`, yielding it after each position; visible positions never change.

        Raises:
            InputError: a visible position follows a hidden one, or rows are padded or packed.
        """
        hidden = state.tokens == vocab.mask
        if (hidden[:, :-1] & ~hidden[:, 1:]).any() or state.valid is not None or state.segments is not None:
            raise InputError(
                "an autoregressive model goes on from the start of a sequence and cannot fill a gap; "
                "give rows that begin with what is known and have only masks after it"
            )
        state = replace(state, tokens=state.tokens.clone())
        tokens, cache = torch.full_like(state.tokens[:, 0], vocab.mask), None
        for position in range(state.tokens.shape[1]):
            drawn, cache = self._draw(denoiser, tokens, cache, vocab, uniforms)
            tokens = torch.where(hidden[:, position], drawn, state.tokens[:, position])
            state.tokens[:, position] = tokens
            yield state

    @torch.no_grad()
    def _draw(
        self, denoiser: NextToken, tokens: Tensor, cache: Any, vocab: Vocab, uniforms: Uniforms
    ) -> tuple[Tensor, Any]:
        """(batch,) one letter each, and the cache."""
        log_probs, cache = denoiser.step(tokens, cache)
        return draw_letters(self.sharpen(log_probs), uniforms(), vocab), cache
