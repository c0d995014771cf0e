"""What a backbone with its head must be able to do, so that diffusion and models need not know each other."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor


class Network(Protocol):
    """A backbone with its head; an `nn.Module` in practice.

    The head is separate from the features, so that it runs only at the positions that are scored or drawn.
    """

    @property
    def time_conditioned(self) -> bool:
        """Whether `features` needs t."""
        ...

    def embed(self, tokens: Tensor) -> Tensor:
        """(batch, length) int64 -> (batch, length, width)."""
        ...

    def features(
        self,
        embedded: Tensor,
        t: Tensor | None = None,
        *,
        valid: Tensor | None = None,
        segments: Tensor | None = None,
        label: Tensor | None = None,
    ) -> Tensor:
        """(batch, length, width) -> (batch, length, features).

        Args:
            t: (batch,) chance that a position is hidden, whatever the schedule, so that a network can be evaluated at
                any; needed where it is conditioned on time.
            valid, segments, label: as in `dnadiff.batch.Batch`.
        """
        ...

    def logits(self, features: Tensor) -> Tensor:
        """(..., features) -> (..., vocab.size); callable on selected positions only."""
        ...


class CausalNetwork(Network, Protocol):
    """A network whose features depend on the positions up to their own."""

    def step(self, embedded: Tensor, cache: Any = None) -> tuple[Tensor, Any]:
        """What `features` gives at the next position, at the cost of one.

        Args:
            embedded: (batch, 1, width).
            cache: what the previous step returned; None at the first position.

        Returns:
            (batch, 1, features), and the cache of the next step.
        """
        ...


@runtime_checkable
class StrandSymmetric(Protocol):
    """A network whose features for the opposite strand are its features flipped along positions and channels.

    It needs the same of what is embedded: each position holds the given strand, then the opposite strand reversed.
    """

    def strands(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(..., 2 width) -> (..., width) twice: given and opposite strand, position by position, channel by channel."""
        ...


class BackboneSettings(Protocol):
    """What settings of a backbone tell before it is built."""

    @property
    def causal(self) -> bool:
        """Whether a position sees only those up to it."""
        ...

    @property
    def time_conditioned(self) -> bool:
        """Whether the network is told the time."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that the network is told; none: it is told none."""
        ...
