"""Caduceus (Schiff et al. 2024): Mamba layers that read in both directions, strand-symmetric by construction or not."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from dnadiff.errors import InputError
from dnadiff.models.mamba import MambaMixer, MambaSizes, SelectiveState, residual_projection
from dnadiff.models.rc import BothStrands
from dnadiff.models.sizes import Width
from dnadiff.models.stack import Block, SingleStrand
from dnadiff.vocab import Vocab


class Caduceus(MambaSizes):
    """Bidirectional Mamba for DNA; the defaults are the smallest published model."""

    causal: ClassVar[bool] = False

    kind: Literal["caduceus"] = "caduceus"
    width: Width = 118
    """Channels of the stream between layers; of each strand where symmetry is ps."""
    symmetry: Literal["ps", "ph"] = "ps"
    """ps: strands share parameters, p(x) = p(rc(x)) exactly. ph: reads one strand; average over both yourself."""
    direction_weights: Literal["tied", "untied"] = "tied"
    """Whether the two directions share their in and out projections."""
    combine: Literal["add", "multiply"] = "add"
    """How the outputs of the two directions meet."""
    block: Literal["fused", "unfused"] = "fused"
    """Published ps layers are two different functions: fused ones exchange the strands before every layer."""

    def build(self, vocab: Vocab) -> SingleStrand:
        """A freshly initialised network, from torch's global generator.

        Raises:
            InputError: symmetry ps with a vocabulary that has no complement.
        """
        blocks = [Block(self, self._mixer()) for _ in range(self.n_layers)]
        if self.symmetry == "ph":
            return SingleStrand(vocab, blocks, self)
        if vocab.complement is None:
            raise InputError(
                "model.symmetry: ps needs a vocabulary with complementary letters; choose ph for other text"
            )
        return BothStrands(vocab, blocks, self, mirror_blocks=self.block == "fused")

    def _mixer(self) -> nn.Module:
        mixer = TiedMixer if self.direction_weights == "tied" else UntiedMixer
        return mixer(self, multiply=self.combine == "multiply")


class TiedMixer(nn.Module):
    """Two directions that share both projections: one matrix product in; and, where they are added, one out."""

    def __init__(self, sizes: MambaSizes, *, multiply: bool) -> None:
        super().__init__()
        self.in_proj = nn.Linear(sizes.width, 2 * sizes.n_inner, bias=False)
        self.rightward = SelectiveState(sizes)
        self.leftward = SelectiveState(sizes)
        self.out_proj = residual_projection(sizes)
        self.multiply = multiply

    def forward(self, hidden: Tensor, *, valid: Tensor | None, segments: Tensor | None) -> Tensor:
        """(batch, length, width) -> (batch, length, width)."""
        x, z = self.in_proj(hidden).chunk(2, dim=-1)
        masks = {"valid": valid, "segments": segments}
        mixed: Tensor
        if self.multiply:
            right = self.out_proj(self.rightward(x, gate=z, **masks))
            mixed = right * self.out_proj(self.leftward(x, gate=z, **masks, reverse=True))
        else:
            right = self.rightward(x, gate=None, **masks)
            mixed = self.out_proj(self.leftward(x, gate=z, plus=right, **masks, reverse=True))
        return mixed


class UntiedMixer(nn.Module):
    """Two Mamba layers, one in each direction."""

    def __init__(self, sizes: MambaSizes, *, multiply: bool) -> None:
        super().__init__()
        self.rightward = MambaMixer(sizes)
        self.leftward = MambaMixer(sizes)
        self.multiply = multiply

    def forward(self, hidden: Tensor, *, valid: Tensor | None, segments: Tensor | None) -> Tensor:
        """(batch, length, width) -> (batch, length, width)."""
        right: Tensor = self.rightward(hidden, valid=valid, segments=segments)
        left: Tensor = self.leftward(hidden, valid=valid, segments=segments, reverse=True)
        return right * left if self.multiply else right + left
