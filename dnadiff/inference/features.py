"""What a network knows of every base, and of whole rows, the same whichever strand they are written on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import ContinuousDenoiser
from dnadiff.diffusion.strands import opposite_strand
from dnadiff.errors import InputError
from dnadiff.inference.device import best_device, borrowed
from dnadiff.model import DiffusionModel
from dnadiff.models.classifier import masked_mean
from dnadiff.network import StrandSymmetric
from dnadiff.vocab import Vocab

Strands = Literal["both", "given"]
Pooling = Literal["mean", "none"]
Tokens = NDArray[np.uint8]


def embed(
    model: DiffusionModel,
    rows: Iterable[Tokens],
    *,
    pooling: Pooling = "mean",
    strands: Strands = "both",
    batch_size: int = 32,
) -> Iterator[NDArray[np.float32]]:
    """Features of one row after the other, as they are asked for.

    Args:
        rows: tokens, (length,) each.
        pooling: mean: over the bases of each row, (width,); none: (length, width).
        batch_size: rows through the network at a time; does not change the figures beyond rounding.

    Raises:
        InputError: the network reads no letters.
    """
    source = iter(rows)
    with borrowed(model, device := best_device()):
        while some := list(islice(source, batch_size)):
            batch = padded(some, model.vocab).to(device)
            found = features(model, batch, strands=strands)
            if pooling == "mean":
                yield from masked_mean(found, batch.valid).float().cpu().numpy()
            else:
                each = found.float().cpu().numpy()
                yield from (values[: len(row)] for row, values in zip(some, each, strict=True))


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


def padded(rows: Sequence[Tokens], vocab: Vocab) -> Batch:
    """Rows of any lengths, (length,) each, filled up on the right."""
    lengths = np.array([len(row) for row in rows])
    filled = np.full((len(rows), lengths.max()), vocab.pad, np.int64)
    for row, into in zip(rows, filled, strict=True):
        into[: len(row)] = row
    valid = torch.from_numpy(np.arange(lengths.max()) < lengths[:, None])
    return Batch(torch.from_numpy(filled), valid=None if valid.all() else valid)


def _features(model: DiffusionModel, batch: Batch) -> Tensor:
    network = model.network
    t = torch.zeros(len(batch.tokens), device=batch.tokens.device) if network.time_conditioned else None
    found: Tensor = network.features(network.embed(batch.tokens), t, valid=batch.valid)
    return found
