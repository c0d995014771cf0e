"""Mamba (Gu & Dao 2023): a selective state space layer between two projections; here also the causal network of it.

Initialised as published, from torch's global generator under the caller's seed. Names of settings follow this package;
the published names of weights are in `published`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from dnadiff.models.conditioning import Labelled
from dnadiff.models.kernels import KernelLayer
from dnadiff.models.sizes import Depth, Width
from dnadiff.models.stack import Block, SingleStrand
from dnadiff.ops.conv import causal_conv
from dnadiff.ops.scan import selective_scan
from dnadiff.ops.scan_step import selective_scan_step
from dnadiff.vocab import Vocab

DELTA_RANGE = (1e-3, 1e-1)  # of softplus(bias) at initialisation, log-uniform
DELTA_FLOOR = 1e-4


class MambaSizes(Labelled):
    """What every network of Mamba layers has to be told."""

    width: Width = 128
    """Channels of the stream between layers."""
    n_layers: Depth = 4
    """Number of layers."""
    n_states: Width = 16
    """States per inner channel."""
    expand: Depth = 2
    """Inner channels per channel of the stream."""
    conv_width: Width = 4
    """Taps of the convolution."""
    dt_rank: Width | Literal["auto"] = "auto"
    """Rank of the map to step sizes; auto: width / 16, rounded up."""
    residual_in_fp32: bool = False
    """Keep the stream in float32 when the weights are of a smaller type."""
    norm_eps: float = Field(1e-5, gt=0)
    """Added to the mean square in every norm."""
    tie_embeddings: bool = True
    """The head uses the embedding's rows."""
    conditioning: Literal["none", "constant", "time"] = "none"
    """What norms adapt to. time: each row's noise; constant: no noise, as published without time; none: nothing."""
    conditioning_width: Width = 128
    """Channels of the condition."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Share of what a layer adds to the stream that is dropped in training."""

    @property
    def time_conditioned(self) -> bool:
        """Whether the network is told the time."""
        return self.conditioning == "time"

    @property
    def n_inner(self) -> int:
        return self.expand * self.width

    @property
    def rank(self) -> int:
        """`dt_rank` as a number."""
        return math.ceil(self.width / 16) if self.dt_rank == "auto" else self.dt_rank


class Mamba(MambaSizes):
    """A causal network: what comes out at a position depends on tokens up to it."""

    causal: ClassVar[bool] = True

    kind: Literal["mamba"] = "mamba"

    def build(self, vocab: Vocab) -> CausalStack:
        """A freshly initialised network, from torch's global generator."""
        blocks = [Block(self, MambaMixer(self)) for _ in range(self.n_layers)]
        return CausalStack(vocab, blocks, self)


class Past(NamedTuple):
    """What a layer keeps of the positions before.

    Attributes:
        inputs: (batch, taps - 1, inner) of the convolution.
        state: (batch, inner, states) of the scan.
    """

    inputs: Tensor
    state: Tensor


class CausalStack(SingleStrand):
    """Mamba layers from left to right; a `dnadiff.network.CausalNetwork`."""

    def step(self, embedded: Tensor, cache: Sequence[Past] | None = None) -> tuple[Tensor, list[Past]]:
        """The features of the next position: (batch, 1, width) -> the same shape, and what its layers keep."""
        assert not self.time_conditioned, "a network that is told the time does not read step by step"
        past: Sequence[Past | None] = cache or [None] * len(self.blocks)
        stream, condition, kept = self._stream(embedded), self.condition(None, None, len(embedded)), []
        for block, before in zip(self.blocks, past, strict=True):
            assert isinstance(block, Block)
            assert isinstance(block.mixer, MambaMixer)
            hidden, gate = block.adapted(stream, condition)
            mixed, after = block.mixer.step(hidden, before)
            stream = block.added(stream, mixed, gate)
            kept.append(after)
        return self._finish(stream, condition), kept


class SelectiveState(KernelLayer):
    """What a Mamba layer does in one direction between its two projections: convolution, then scan."""

    operations: ClassVar[tuple[str, ...]] = ("conv", "scan")

    def __init__(self, sizes: MambaSizes) -> None:
        super().__init__()
        inner, bound = sizes.n_inner, sizes.conv_width**-0.5
        self.splits = (sizes.rank, sizes.n_states, sizes.n_states)
        self.conv_weight = nn.Parameter(torch.empty(inner, sizes.conv_width).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.empty(inner).uniform_(-bound, bound))
        self.x_proj = nn.Linear(inner, sum(self.splits), bias=False)
        self.dt_weight = nn.Parameter(torch.empty(inner, sizes.rank).uniform_(-1, 1) * sizes.rank**-0.5)
        self.dt_bias = nn.Parameter(_initial_delta_bias(inner))
        self.A_log = nn.Parameter(torch.arange(1.0, sizes.n_states + 1).log().repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))

    def forward(
        self,
        x: Tensor,
        *,
        gate: Tensor | None,
        plus: Tensor | None = None,
        valid: Tensor | None,
        segments: Tensor | None,
        reverse: bool = False,
    ) -> Tensor:
        """(batch, length, inner) -> (batch, length, inner): with `plus` added, then times silu(gate)."""
        x = causal_conv(
            x, self.conv_weight, self.conv_bias,
            valid=valid, segments=segments, reverse=reverse, implementation=self.kernels.conv,
        )  # fmt: skip
        dt, B, C = self.x_proj(x).split(self.splits, dim=-1)
        return selective_scan(
            x,
            F.linear(dt, self.dt_weight),
            self._decay_rates(),
            B,
            C,
            D=self.D,
            gate=gate,
            plus=plus,
            delta_bias=self.dt_bias,
            valid=valid,
            segments=segments,
            reverse=reverse,
            implementation=self.kernels.scan,
        )

    def step(self, x: Tensor, *, gate: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """`forward` at the next position: (batch, 1, inner) -> the same shape, and what to keep for the one after."""
        A = self._decay_rates()
        if past is None:
            n_rows, _, inner = x.shape
            past = Past(x.new_zeros(n_rows, self.conv_weight.shape[1] - 1, inner), A.new_zeros(n_rows, *A.shape))
        inputs = torch.cat([past.inputs, x], dim=1)  # (batch, taps, inner)
        x = causal_conv(inputs, self.conv_weight, self.conv_bias, implementation=self.kernels.conv)[:, -1]
        dt, B, C = self.x_proj(x).split(self.splits, dim=-1)
        delta = F.linear(dt, self.dt_weight)
        y, state = selective_scan_step(
            past.state, x, delta, A, B, C, D=self.D, gate=gate[:, 0], delta_bias=self.dt_bias
        )
        return y[:, None], Past(inputs[:, 1:], state)

    def _decay_rates(self) -> Tensor:
        """A: (inner, states), float32 or better."""
        return -self.A_log.to(torch.promote_types(self.A_log.dtype, torch.float32)).exp()


class MambaMixer(nn.Module):
    """A Mamba layer of one direction."""

    def __init__(self, sizes: MambaSizes) -> None:
        super().__init__()
        self.in_proj = nn.Linear(sizes.width, 2 * sizes.n_inner, bias=False)
        self.state = SelectiveState(sizes)
        self.out_proj = residual_projection(sizes)

    def forward(
        self, hidden: Tensor, *, valid: Tensor | None, segments: Tensor | None, reverse: bool = False
    ) -> Tensor:
        """(batch, length, width) -> (batch, length, width)."""
        x, gate = self.in_proj(hidden).chunk(2, dim=-1)
        y: Tensor = self.out_proj(self.state(x, gate=gate, valid=valid, segments=segments, reverse=reverse))
        return y

    def step(self, hidden: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """`forward` at the next position: (batch, 1, width) -> the same shape, and what to keep for the one after."""
        x, gate = self.in_proj(hidden).chunk(2, dim=-1)
        y, past = self.state.step(x, gate=gate, past=past)
        return self.out_proj(y), past


def residual_projection(sizes: MambaSizes) -> nn.Linear:
    """The projection back to the stream; smaller the more layers add to it (GPT-2's rule)."""
    linear = nn.Linear(sizes.n_inner, sizes.width, bias=False)
    with torch.no_grad():
        linear.weight /= math.sqrt(sizes.n_layers)
    return linear


def _initial_delta_bias(n: int) -> Tensor:
    """(n,) such that softplus of it is log-uniform in `DELTA_RANGE`."""
    low, high = (math.log(bound) for bound in DELTA_RANGE)
    delta = torch.empty(n).uniform_(low, high).exp().clamp(min=DELTA_FLOOR)
    return delta + torch.log(-torch.expm1(-delta))  # the inverse of softplus
