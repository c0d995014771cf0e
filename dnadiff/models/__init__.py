"""Backbones with their heads; `Backbone` is the whole list of what exists."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dnadiff.models.caduceus import Caduceus
from dnadiff.models.dit import DiT
from dnadiff.models.hf import HuggingFace
from dnadiff.models.mamba import Mamba

__all__ = ["Backbone", "Caduceus", "DiT", "HuggingFace", "Mamba"]

Backbone = Annotated[Caduceus | DiT | HuggingFace | Mamba, Field(discriminator="kind")]
