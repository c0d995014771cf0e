"""Classes of whole sequences, or a number for each: a backbone, the mean of its features, and one linear layer.

As published with Caduceus (Schiff et al. 2024, section 5, appendix D): a strand-symmetric network is read on both
strands at all times, by the mean over its two halves; another may be read on both strands in testing alone ("post
hoc"), by the mean of the two strands' logits, which is the linear layer of the mean of their features.

Unlike the published code, the mean is over bases and not over padding too, unless `pooling` says so.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dnadiff.batch import Batch
from dnadiff.config import Settings
from dnadiff.models import Backbone, Caduceus
from dnadiff.network import StrandSymmetric
from dnadiff.vocab import Vocab


class Head(Settings):
    """How features of positions become those of a sequence; the defaults are the sound choices."""

    pooling: Literal["bases", "all"] = "bases"
    """bases: the mean over bases; all: over padding too, which the network then reads as if it were sequence."""
    padding: Literal["right", "left"] = "right"
    """Where shorter rows are padded."""
    strands: Literal["both", "given", "auto"] = "both"
    """Read in testing, by networks that are not strand-symmetric; auto: both, or the given one by causal networks."""


class ClassifierConfig(Settings):
    """Everything that a classifier is built from, besides its vocabulary."""

    model: Backbone = Caduceus()
    """The backbone."""
    head: Head = Head()
    """From features to classes."""
    length: int | None = Field(None, ge=1)
    """Longest row; longer ones lose their end. null: as long as they are."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the logits; none: a number is predicted."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.head.pooling == "all" and self.length is None:
            raise ValueError("head.pooling=all pads every row to one length; set length")
        if len(self.classes) == 1:
            raise ValueError("classes: name two or more, or none for a number")
        return self

    @property
    def n_outputs(self) -> int:
        """Classes, or one number."""
        return max(1, len(self.classes))


class SequenceClassifier(nn.Module):
    """Logits of the classes of whole rows, or a number for each."""

    def __init__(self, config: ClassifierConfig, vocab: Vocab) -> None:
        super().__init__()
        self.config = config
        self.vocab = vocab
        self.network = config.model.build(vocab)
        self.head = nn.Linear(config.model.width, config.n_outputs)

    @property
    def is_symmetric(self) -> bool:
        """Whether a row and its reverse complement have the same logits by construction."""
        return isinstance(self.network, StrandSymmetric)

    @property
    def reads_both(self) -> bool:
        """Whether in evaluation mode rows are read a second time, on the opposite strand, if they have one."""
        strands = self.config.head.strands
        asked = strands == "both" or (strands == "auto" and not self.config.model.causal)
        return asked and not self.is_symmetric and self.vocab.complement is not None

    def forward(self, batch: Batch) -> Tensor:
        """(batch, classes) logits, or (batch, 1) numbers."""
        logits: Tensor = self.head(self.pooled(batch))
        return logits

    def pooled(self, batch: Batch) -> Tensor:
        """(batch, width), float32 or better: the mean of the features, over both strands where both are read."""
        pooled = self._pooled(batch)
        if self.reads_both and not self.training:
            pooled = (pooled + self._pooled(opposite_strand(batch, self.vocab))) / 2
        return pooled

    def _pooled(self, batch: Batch) -> Tensor:
        t = torch.zeros(len(batch.tokens), device=batch.tokens.device) if self.network.time_conditioned else None
        features = self.network.features(self.network.embed(batch.tokens), t, valid=batch.valid)
        if isinstance(self.network, StrandSymmetric):
            given, opposite = self.network.strands(features)
            features = (given + opposite) / 2
        return masked_mean(features, batch.valid)


def masked_mean(features: Tensor, valid: Tensor | None) -> Tensor:
    """Mean over the valid positions of each row: (batch, length, width) -> (batch, width), float32 or better."""
    wide = features.to(torch.promote_types(features.dtype, torch.float32))
    if valid is None:
        return wide.mean(1)
    return wide.masked_fill(~valid[..., None], 0).sum(1) / valid.sum(1, keepdim=True).clamp(min=1)


def opposite_strand(batch: Batch, vocab: Vocab) -> Batch:
    """The same rows read on the opposite strand, 5' to 3'; padding stays where it is.

    Padding is told by its token, so that rows whose padding is read as sequence keep it in place as well.
    """
    length = batch.tokens.shape[1]
    place = torch.arange(length, device=batch.tokens.device)
    real = batch.tokens != vocab.pad
    first, n = real.int().argmax(1, keepdim=True), real.sum(1, keepdim=True)
    mirrored = (2 * first + n - 1 - place).clamp(0, length - 1)  # (batch, length)
    opposite = vocab.complemented(batch.tokens.gather(1, mirrored))
    return Batch(torch.where(real, opposite, batch.tokens), batch.valid, label=batch.label)
