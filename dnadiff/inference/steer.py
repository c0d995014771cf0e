"""Python functions of sequences, as what samplers are steered by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dnadiff import dna
from dnadiff.diffusion.guidance import Factor, Guided
from dnadiff.diffusion.samplers.particles import SMC, SVDD, Reward, Steered
from dnadiff.errors import InputError
from dnadiff.inference.sample import Guide
from dnadiff.vocab import DNA, Vocab

Judge = Callable[[list[str]], Sequence[float]]
"""Sequences -> a finite number for each."""
Decode = Callable[[np.ndarray], str]
"""A row of tokens (length,) as a string."""
LONGEST_SHOWN = 40


class Design(NamedTuple):
    """A sequence that was steered, what it was steered by, and what another function says of it, if one was given."""

    sequence: str
    reward: float
    held_out: float | None


METHODS: dict[str, type[Steered]] = {"smc": SMC, "svdd": SVDD}


def both(first: Guide | None, judge: Judge | None, decode: Decode, vocab: Vocab) -> Guide | None:
    """A guide, and around it one by a function of half-hidden sequences; what is None is left out."""
    if judge is None:
        return first
    by_judge = partial(Guided, factor=factor_of(judge, decode, vocab), vocab=vocab)
    return by_judge if first is None else lambda denoiser: by_judge(first(denoiser))


def reward_of(judge: Judge, decode: Decode = dna.decode, *, name: str = "reward") -> Reward:
    """A function of strings as one of tokens (rows, length); `judged` says what it raises."""

    def reward(tokens: Tensor) -> Tensor:
        return torch.from_numpy(judged(judge, [decode(row) for row in tokens.cpu().numpy()], name=name)).to(
            tokens.device
        )

    return reward


def factor_of(judge: Judge, decode: Decode = dna.decode, vocab: Vocab = DNA) -> Factor:
    """A function of strings that have N where a letter is hidden as one of rows with masks; raises as `judged`."""
    reward = reward_of(judge, decode, name="guide")
    return lambda batch: reward(batch.tokens.where(batch.tokens != vocab.mask, vocab.unknown))


def judged(judge: Judge, sequences: list[str], *, name: str) -> np.ndarray:
    """What a function says of sequences: (n,) float64.

    Raises:
        InputError: not a finite number for each.
    """
    given = judge(sequences)
    try:
        numbers = np.asarray(given, np.float64)
    except (TypeError, ValueError):
        numbers = np.empty(0)
    if numbers.shape != (len(sequences),):
        shown = repr(given)[:LONGEST_SHOWN]
        raise InputError(f"{name}: gave {shown} for {len(sequences)} sequences; return a number for each")
    if not np.isfinite(numbers).all():
        at = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise InputError(f"{name}: gave {numbers[at]} for {sequences[at][:LONGEST_SHOWN]!r}; return finite numbers")
    return numbers
