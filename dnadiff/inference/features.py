"""What a network knows of every base, and of whole rows, the same whichever strand they are written on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import ContinuousDenoiser
from dnadiff.diffusion.strands import opposite_strand
from dnadiff.errors import InputError
from dnadiff.model import DiffusionModel
from dnadiff.network import StrandSymmetric

Strands = Literal["both", "given"]


@torch.no_grad()
def features(model: DiffusionModel, batch: Batch, *, strands: Strands = "both") -> Tensor:
    """Last features of every position of rows in which nothing is hidden.

    A strand-symmetric network gives the mean of its two halves; another, with `both`, the mean of what it gives for a
    row and for its reverse complement, position by position.

    Returns:
        (batch, length, width), float32 or better.

    Raises:
        InputError: the network reads noisy embeddings, not letters.
    """
    objective = model.config.objective
    if objective.plain.takes is ContinuousDenoiser:
        raise InputError(f"{type(objective).__name__} reads noisy embeddings, not letters; it has no features of rows")
    found = _features(model, batch)
    if isinstance(model.network, StrandSymmetric):
        given, opposite = model.network.strands(found)
    elif strands == "both":
        given, opposite = found, _features(model, opposite_strand(batch, model.vocab)).flip(1)
    else:
        given = opposite = found
    wide = torch.promote_types(found.dtype, torch.float32)
    return (given.to(wide) + opposite.to(wide)) / 2


def _features(model: DiffusionModel, batch: Batch) -> Tensor:
    network = model.network
    t = torch.zeros(len(batch.tokens), device=batch.tokens.device) if network.time_conditioned else None
    found: Tensor = network.features(network.embed(batch.tokens), t, valid=batch.valid)
    return found
