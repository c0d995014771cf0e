"""What a network is told of time and class, and how its norms adapt to it (adaLN; Peebles & Xie 2023, section 3.2).

A condition is made from the total noise sigma, which is what published weights know: time reads as the chance that a
position is hidden, 1 - exp(-sigma), whatever the schedule was. A class adds a vector of its own to it. From the
condition every block has a shift and a scale of what its norm gives, and a gate of what it adds to the stream.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from dnadiff.config import Settings

LEAST_VISIBLE = 1e-3  # the least that the published log-linear schedule leaves; less is read as this
N_FREQUENCIES = 128  # of the total noise, from 1 down to almost 1 / LONGEST_PERIOD
LONGEST_PERIOD = 10_000.0


class Labelled(Settings):
    """Settings of a backbone that may be told classes."""

    labels: tuple[str, ...] = ()
    """Names of the classes that the network is told, which data.label fills in; none: it is told none."""
    label_dropout: float = Field(0.1, ge=0, lt=1)
    """Share of the training rows whose class is withheld, so that the network also knows the law without one."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        twice = sorted({name for name in self.labels if self.labels.count(name) > 1})
        if twice:
            raise ValueError(f"labels: {', '.join(twice)} more than once; name each class once")
        return self


class LabelSizes(Protocol):
    """The settings of an embedding of classes."""

    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def label_dropout(self) -> float: ...
    @property
    def conditioning_width(self) -> int: ...


class NoiseEmbedding(nn.Module):
    """The condition: a small network on cosines and sines of the total noise."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(2 * N_FREQUENCIES, width)
        self.out = nn.Linear(width, width)

    def forward(self, t: Tensor) -> Tensor:
        """(batch,) chance that a position is hidden -> (batch, width)."""
        sigma = total_noise(t)
        steps = torch.arange(N_FREQUENCIES, dtype=torch.float32, device=sigma.device) / N_FREQUENCIES
        angles = sigma[:, None] * torch.exp(-math.log(LONGEST_PERIOD) * steps)  # float32 or better
        waves = torch.cat([angles.cos(), angles.sin()], dim=-1).to(self.inner.weight.dtype)
        return F.silu(self.out(F.silu(self.inner(waves))))


class LabelEmbedding(nn.Module):
    """What a class adds to the condition; in training some rows are told none (Ho & Salimans 2022)."""

    def __init__(self, n_labels: int, width: int, *, dropout: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_labels + 1, width))  # the last: no class
        self.dropout = dropout

    def forward(self, label: Tensor | None, n_rows: int) -> Tensor:
        """(batch,) classes, or None where no row has one -> (batch, width)."""
        none = torch.full((n_rows,), len(self.weight) - 1, device=self.weight.device)
        if label is not None and self.training:
            label = torch.where(torch.rand(n_rows, device=label.device) < self.dropout, none, label)
        return F.silu(F.embedding(none if label is None else label, self.weight))


def label_embedding(sizes: LabelSizes) -> LabelEmbedding | None:
    """None for networks that are told no class."""
    width, dropout = sizes.conditioning_width, sizes.label_dropout
    return LabelEmbedding(len(sizes.labels), width, dropout=dropout) if sizes.labels else None


class Conditioned(nn.Module):
    """A network that may be told the time, a class, or both; each is None where it is not.

    Published networks without time conditioning keep its layers and are told no noise.
    """

    time_conditioned: bool
    noise: NoiseEmbedding | None
    labels: LabelEmbedding | None

    def condition(self, t: Tensor | None, label: Tensor | None, n_rows: int) -> Tensor | None:
        """What the norms adapt to: (batch or 1, conditioning_width), or None where the network is told nothing.

        Args:
            t: (batch or 1,) chance that a position is hidden; needed where the network is told the time.
            label: (batch,) classes; None where no row has one.
        """
        condition: Tensor | None = None
        if self.noise is not None:
            time = t if self.time_conditioned else self.noise.inner.weight.new_zeros(1)
            assert time is not None, "a network that is told the time needs t"
            condition = self.noise(time)
        if self.labels is not None:
            of_class: Tensor = self.labels(label, n_rows)
            condition = of_class if condition is None else condition + of_class
        return condition


class Modulation(nn.Module):
    """Shifts, scales and gates, linear in the condition; at first the same for all."""

    def __init__(self, width: int, conditioning_width: int, start: Sequence[float]) -> None:
        """`start`: where each begins, such as (0, 0, 1) for no shift, no scale and an open gate."""
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(len(start) * width, conditioning_width))
        self.bias = nn.Parameter(torch.tensor(start).repeat_interleave(width))
        self.n = len(start)

    def forward(self, condition: Tensor) -> Sequence[Tensor]:
        """(batch, conditioning_width) -> one (batch, 1, width) for each start."""
        return F.linear(condition, self.weight, self.bias).unsqueeze(1).chunk(self.n, dim=-1)


def modulate(x: Tensor, shift: Tensor | float, scale: Tensor | float) -> Tensor:
    """x (1 + scale) + shift."""
    return x * (1 + scale) + shift


def total_noise(t: Tensor) -> Tensor:
    """sigma = -log(1 - t) of a chance to be hidden t (Sahoo et al. 2024, appendix E); float32 or better."""
    return -torch.log1p(-t.to(torch.promote_types(t.dtype, torch.float32)).clamp(max=1.0 - LEAST_VISIBLE))
