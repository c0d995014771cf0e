"""What a head says at many positions, made a few positions at a time, so that it is never held as a whole.

With tens of thousands of tokens the logits of a batch are its largest tensor by far. Here a head runs on a few rows at
a time, and of what it says only what a function makes of it is kept. Under autograd a part is computed again in the
backward pass, which costs one more run of the head. Where all rows fit into one part nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CHUNK = 1 << 24  # numbers that a head gives at a time: 64 MiB in float32, of which a few copies live at once
Reduce = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True)
class Answers:
    """What a head says of n rows, or of the positions along one dimension.

    Attributes:
        given: what the head takes, n along `dim` in each.
        read: parts of `given` -> what the head says, (n, n_letters) or as documented by who gives it.
        columns: how many numbers it gives for each of the n.
    """

    given: tuple[Tensor, ...]
    read: Callable[..., Tensor]
    columns: int
    dim: int = 0

    def then(self, change: Callable[[Tensor], Tensor]) -> Answers:
        """What `change` makes of it."""
        read = self.read
        return replace(self, read=lambda *given: change(read(*given)))

    def all(self) -> Tensor:
        """Everything at once, where that is known to be small."""
        return self.read(*self.given)

    def map(self, reduce: Reduce, *beside: Tensor) -> tuple[Tensor, ...]:
        """What `reduce` makes of parts, put together.

        Args:
            reduce: a part of what the head says, and of each tensor beside it -> tensors with as many rows.
            beside: tensors with n rows along `dim`.
        """

        def part(*tensors: Tensor) -> tuple[Tensor, ...]:
            given, others = tensors[: len(self.given)], tensors[len(self.given) :]
            return reduce(self.read(*given), *others)

        tensors, rows = (*self.given, *beside), max(1, CHUNK // self.columns)
        if tensors[0].shape[self.dim] <= rows:
            return part(*tensors)
        again: Callable[..., tuple[Tensor, ...]] = part
        if torch.is_grad_enabled():
            again = partial(checkpoint, part, use_reentrant=False, preserve_rng_state=False)
        split = (torch.split(tensor, rows, self.dim) for tensor in tensors)
        parts = [again(*some) for some in zip(*split, strict=True)]
        return tuple(torch.cat(each, self.dim) for each in zip(*parts, strict=True))


@runtime_checkable
class InParts(Protocol):
    """A denoiser that can be asked without holding what it says."""

    def answers(self, *question: Any) -> Answers:
        """What calling it gives, in parts."""
        ...


def answers_of(denoiser: Callable[..., Tensor], *question: Any, dim: int = 0) -> Answers:
    """What a denoiser says, in parts where it can."""
    if isinstance(denoiser, InParts):
        return denoiser.answers(*question)
    said = denoiser(*question)
    return Answers((said,), lambda part: part, max(1, said.numel() // max(1, said.shape[dim])), dim)
