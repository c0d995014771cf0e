"""Which implementation computes the scans, convolutions and attention of a network."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from dnadiff.config import Settings
from dnadiff.errors import InputError
from dnadiff.ops.attention import Implementation as Attention
from dnadiff.ops.conv import Implementation as Conv
from dnadiff.ops.scan import Implementation as Scan


class Kernels(Settings):
    """By operation; auto is the fastest that works where a tensor lies. What is asked for by name must be there."""

    scan: Scan = "auto"
    """The selective scan of Mamba layers."""
    conv: Conv = "auto"
    """The convolution of Mamba layers."""
    attention: Attention = "auto"
    """The attention of transformers."""


class KernelLayer(nn.Module):
    """A layer that computes with kernels."""

    operations: ClassVar[tuple[str, ...]]
    """By their names in `Kernels`."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = Kernels()


def use_kernels(network: nn.Module, kernels: Kernels) -> None:
    """Let a network compute with these; it is a choice of this process, and in no checkpoint.

    Raises:
        InputError: a kernel is asked for by name whose operation the network has not.
    """
    layers = [module for module in network.modules() if isinstance(module, KernelLayer)]
    used = {operation for layer in layers for operation in layer.operations}
    for operation, asked in kernels:
        if asked not in ("auto", "torch") and operation not in used:
            raise InputError(f"kernels.{operation}={asked}: this network has no {operation}; leave it at auto")
    for layer in layers:
        layer.kernels = kernels
