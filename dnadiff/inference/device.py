"""Where a model runs, borrowed and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def best_device() -> torch.device:
    """The first CUDA device, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def borrowed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Evaluation mode on `device` inside the block; mode and device as they were afterwards."""
    was_training = module.training
    before = next(module.parameters()).device
    module.eval().to(device)
    try:
        yield
    finally:
        module.train(was_training).to(before)
