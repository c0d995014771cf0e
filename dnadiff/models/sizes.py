"""Sizes of networks, with bounds far above those of any that exists: a config.json that is read may say anything."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

DEEPEST = 1 << 10
Width = Annotated[int, Field(gt=0, le=1 << 16)]
"""Channels, states, taps."""
Depth = Annotated[int, Field(gt=0, le=DEEPEST)]
"""Layers, and how many times wider an inner layer is."""
