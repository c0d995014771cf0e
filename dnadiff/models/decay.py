"""Which parameters weight decay applies to."""

from __future__ import annotations

from torch import nn

STATE_MATRIX = "A_log"  # a logarithm of decay rates: pulling it to zero would make all states alike


def decay_groups(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Parameters that decay, and those that do not: vectors (norms, biases, D) and the state matrices. Each once."""
    decay: list[nn.Parameter] = []
    no_decay: list[nn.Parameter] = []
    for name, parameter in module.named_parameters():
        exempt = parameter.ndim < 2 or name.rpartition(".")[2] == STATE_MATRIX
        (no_decay if exempt else decay).append(parameter)
    return decay, no_decay
