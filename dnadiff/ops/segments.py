"""Where packed documents begin."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def segment_starts(segments: Tensor, *, reverse: bool = False) -> Tensor:
    """(batch, length) bool: True where the number differs from the one before, or after for `reverse`.

    Args:
        segments: (batch, length) integers; only changes count, so a number may return.
    """
    change = segments[:, 1:] != segments[:, :-1]
    return F.pad(change, (0, 1) if reverse else (1, 0), value=False)
