"""Both strands of DNA: which one a sequence is written from is a convention, so a model may average over them."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.vocab import Vocab


def opposite_strand(batch: Batch, vocab: Vocab) -> Batch:
    """The rows' reverse complements, padding and documents mirrored with them."""
    tokens = vocab.complemented(batch.tokens.flip(1))
    masks = {"valid": batch.valid, "segments": batch.segments}
    return replace(batch, tokens=tokens, **{name: mask.flip(1) for name, mask in masks.items() if mask is not None})


def nats_of_both_strands(given: Tensor, opposite: Tensor) -> Tensor:
    """-log(p(x) / 2 + p(rc x) / 2): a likelihood, and the same for a sequence and its reverse complement.

    The mean of the two figures is never below it, and no likelihood. For exact likelihoods only: draws of two bounds
    are averaged, since a concave function of draws is too low on average.

    Args:
        given, opposite: (...) -log p of each strand, in nats.
    """
    return math.log(2) - torch.logaddexp(-given, -opposite)
