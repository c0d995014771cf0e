"""Where a network's head runs: at the positions that are asked about, in parts."""

from __future__ import annotations

from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import Answers, Reduce
from dnadiff.network import Network
from dnadiff.vocab import Vocab

SMALL = 128  # ids of a vocabulary whose head costs less everywhere than it costs to find out where it is needed


def logits_at(network: Network, batch: Batch, wanted: Tensor, t: Tensor | None, vocab: Vocab) -> Answers:
    """The head's logits at `wanted` (batch, length), n True: (n, vocab)."""
    return Answers((_features(network, batch, t)[wanted],), network.logits, vocab.size)


def costs_at(
    network: Network, batch: Batch, wanted: Tensor, t: Tensor | None, tokens: Tensor, cost: Reduce, vocab: Vocab
) -> tuple[Tensor, ...]:
    """What the head's logits cost at wanted positions; no others have a part in it, nor in its gradient.

    On a GPU nothing waits for the device where the vocabulary is small; else the positions are counted, once.

    Args:
        wanted: (batch, length) bool.
        tokens: (batch, length), letters where wanted.
        cost: logits (n, vocab) and tokens (n,) -> tensors (n,).

    Returns:
        (batch, length) each, zero where not wanted.
    """
    features, true = _features(network, batch, t), tokens.where(wanted, vocab.letters[0]).flatten()
    if vocab.size <= SMALL:
        everywhere = features.where(wanted[..., None], 0.0).flatten(0, 1)
        found = Answers((everywhere,), network.logits, vocab.size).map(cost, true)
        return tuple(each.view(wanted.shape).where(wanted, 0.0) for each in found)
    index = wanted.flatten().nonzero()[:, 0]
    chosen = features.flatten(0, 1).index_select(0, index)
    found = Answers((chosen,), network.logits, vocab.size).map(cost, true[index])
    return tuple(each.new_zeros(wanted.numel()).index_copy(0, index, each).view(wanted.shape) for each in found)


def _features(network: Network, batch: Batch, t: Tensor | None) -> Tensor:
    """What the head takes: (batch, length, features)."""
    return network.features(
        network.embed(batch.tokens), t, valid=batch.valid, segments=batch.segments, label=batch.label
    )
