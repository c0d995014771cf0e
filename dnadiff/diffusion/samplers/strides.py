"""Sequences longer than a network sees at a time, drawn in strides: semi-autoregressive (Sahoo et al. 2024).

A window of as many positions as the network sees is filled, then it moves on by a stride, and what it still covers
conditions what is new. Letters that are given from the start are seen wherever a window covers them, on both sides.
The last window ends where the row ends, so that any length can be drawn.

The law is that of the model with a memory of at most the context less the stride: exact where an exact sampler draws
from a language with no longer memory. Unlike the authors' code, where all letters of a window are the likeliest ones
once more at its end, letters stay as they were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, SequenceSampler, Uniforms
from dnadiff.vocab import Vocab


@dataclass(frozen=True)
class Strides:
    """A sampler that fills long rows window by window.

    Attributes:
        sampler: what fills a window.
        context: positions of a window.
        stride: positions from one window to the next, at most the context.
    """

    sampler: SequenceSampler
    context: int
    stride: int

    def starts(self, length: int) -> list[int]:
        """Where the windows of a row begin."""
        last = max(0, length - self.context)
        return [*range(0, last, self.stride), last]

    def n_steps(self, length: int) -> int:
        """At most how many states `sample` yields."""
        return len(self.starts(length)) * self.sampler.n_steps(min(length, self.context))

    def sample(
        self, denoiser: Any, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change.

        Every window has random numbers of its own, so that a row does not depend on when its neighbours were full.
        """
        for number, start in enumerate(self.starts(state.tokens.shape[1])):
            window, own = columns(state, start, start + self.context), uniforms.branch(number)
            if not (window.tokens == vocab.mask).any():
                continue
            for after in self.sampler.sample(denoiser, window, schedule, vocab, uniforms=own):
                state = replace(state, tokens=_put(state.tokens, start, after.tokens))
                yield state


def columns(batch: Batch, start: int, stop: int) -> Batch:
    """The same rows between two positions."""
    cut = {
        name: None if value is None else value[:, start:stop]
        for name, value in (("valid", batch.valid), ("segments", batch.segments))
    }
    return replace(batch, tokens=batch.tokens[:, start:stop], **cut)


def _put(tokens: Tensor, start: int, part: Tensor) -> Tensor:
    """(batch, length) with `part` from `start` on."""
    changed = tokens.clone()
    changed[:, start : start + part.shape[1]] = part
    return changed
