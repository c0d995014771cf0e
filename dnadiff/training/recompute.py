"""Activation checkpointing (Chen et al. 2016): of each block only the input is kept, the rest is computed twice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint

from dnadiff.allocator import return_large_blocks


@contextmanager
def recomputed(blocks: Iterable[nn.Module]) -> Iterator[None]:
    """Inside the block, the modules keep their inputs only; gradients are the same, dropout included."""
    held = list(blocks)
    if held:
        return_large_blocks()
    for module in held:
        module.forward = partial(checkpoint, module.forward, use_reentrant=False)
    try:
        yield
    finally:
        for module in held:
            del module.forward  # the class's own shows again
