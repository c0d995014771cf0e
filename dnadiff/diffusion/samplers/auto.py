"""The sampler that suits the objective, so that nobody has to know which one that is."""

from __future__ import annotations

from typing import Literal

from dnadiff.diffusion.contracts import SequenceSampler
from dnadiff.diffusion.samplers.drawing import Grid, Sharpness


class Auto(Grid, Sharpness):
    """The objective's plain sampler; see `ObjectiveSettings.plain`. One without a grid of times leaves the grid out."""

    kind: Literal["auto"] = "auto"

    def of(self, plain: type[SequenceSampler]) -> SequenceSampler:
        """A sampler with these settings, as far as it has them."""
        return plain(**{name: value for name, value in self if name != "kind" and name in plain.model_fields})
