"""Small worlds whose distributions are known exactly."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from dnadiff.batch import Batch
from dnadiff.vocab import DNA


class UniformNetwork(nn.Module):
    """Knows nothing: every logit is the same. One parameter, so that it has a gradient."""

    time_conditioned = False

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def embed(self, tokens: Tensor) -> Tensor:
        return self.level.expand(*tokens.shape, 1)

    def features(self, embedded: Tensor, t=None, **_: object) -> Tensor:
        return embedded

    def logits(self, features: Tensor) -> Tensor:
        return features.expand(*features.shape[:-1], DNA.size)


class MarkovChain:
    """A first-order chain over the four letters, with its exact conditionals given any visible positions."""

    time_conditioned = False

    def __init__(self, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.start = torch.rand(4, generator=generator, dtype=torch.float64).softmax(0)
        self.step = (3 * torch.rand(4, 4, generator=generator, dtype=torch.float64)).softmax(1)

    def log_prob(self, letters: tuple[int, ...]) -> Tensor:
        steps = itertools.pairwise(letters)
        return self.start[letters[0]].log() + sum(self.step[a, b].log() for a, b in steps)

    def sequences(self, length: int) -> list[tuple[int, ...]]:
        return list(itertools.product(range(4), repeat=length))

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        return torch.cat([self._posterior(row)[want] for row, want in zip(batch.tokens, wanted, strict=True)]).log()

    def _posterior(self, row: Tensor) -> Tensor:
        """(length, 4) by enumeration of all completions."""
        seen = [DNA.letter_index[token].item() for token in row]  # -1 where hidden
        total = torch.zeros(len(row), 4, dtype=torch.float64)
        for letters in self.sequences(len(row)):
            if all(s in (-1, letter) for s, letter in zip(seen, letters, strict=True)):
                probability = self.log_prob(letters).exp()
                for position, letter in enumerate(letters):
                    total[position, letter] += probability
        return total / total.sum(1, keepdim=True)


class Twins:
    """Two positions that always hold the same, uniform letter."""

    time_conditioned = False

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        other = DNA.letter_index[batch.tokens.flip(1)]  # (batch, 2), -1 where hidden
        known = torch.nn.functional.one_hot(other.clamp(min=0), 4).double().log()
        hidden = torch.full_like(known, 0.25).log()
        return torch.where((other >= 0)[..., None], known, hidden)[wanted]
