"""Small worlds whose distributions are known exactly."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from dnadiff.batch import Batch
from dnadiff.vocab import DNA, Vocab


class QuickUniforms:
    """Random numbers for very many rows, from one stream."""

    def __init__(self, rows: int, seed: int = 0) -> None:
        self.rows, self.seed, self.generator = rows, seed, torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> Tensor:
        return torch.rand(self.rows, *shape, generator=self.generator, dtype=torch.float64)

    def branch(self, number: int) -> QuickUniforms:
        return QuickUniforms(self.rows, 1_000 * (self.seed + 1) + number)


uniforms = QuickUniforms


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


class ExactNetwork:
    """A network whose head gives the exact posterior at hidden positions, by enumeration of a small language."""

    time_conditioned = False

    def __init__(self, vocab: Vocab, sequences: Tensor, log_probs: Tensor) -> None:
        """`sequences`: (n, length) token ids, `log_probs`: (n,) of them, float64."""
        self.vocab, self.sequences, self.log_probs = vocab, sequences, log_probs

    def embed(self, tokens: Tensor) -> Tensor:
        return tokens[..., None].double()

    def features(self, embedded: Tensor, t=None, **_: object) -> Tensor:
        """(batch, length, 1) -> (batch, length, vocab): log p(letter | visible), -inf for what is no letter."""
        tokens = embedded[..., 0].long()
        fits = (tokens[:, None] == self.sequences) | (tokens[:, None] == self.vocab.mask)  # (batch, n, length)
        joint = fits.all(-1).double() * self.log_probs.exp() * self.hiding(tokens, t)  # (batch, n)
        marginal = torch.einsum("bn,nlv->blv", joint, nn.functional.one_hot(self.sequences, self.vocab.size).double())
        return (marginal / joint.sum(1)[:, None, None]).log()

    def hiding(self, tokens: Tensor, t: Tensor | None) -> Tensor:
        """(batch, n) chance of each sequence to be hidden just where `tokens` are, up to a factor of each row."""
        return torch.ones(())

    def logits(self, features: Tensor) -> Tensor:
        return features

    def entropy(self) -> float:
        """Nats per sequence."""
        return -(self.log_probs.exp() * self.log_probs).sum().item()


class MarkovChain(ExactNetwork):
    """A first-order chain over the letters of a vocabulary, at one length."""

    def __init__(self, length: int, vocab: Vocab = DNA, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        n = len(vocab.letters)
        self.start = torch.rand(n, generator=generator, dtype=torch.float64).softmax(0)
        self.step = (3 * torch.rand(n, n, generator=generator, dtype=torch.float64)).softmax(1)
        letters = torch.tensor(list(itertools.product(range(n), repeat=length)))
        log_probs = self.start.log()[letters[:, 0]] + self.step.log()[letters[:, :-1], letters[:, 1:]].sum(1)
        super().__init__(vocab, vocab.letter_ids[letters], log_probs)


class RatedChain(MarkovChain):
    """A chain whose letters are hidden with chance m**power: what is hidden tells something of what it is."""

    time_conditioned = True

    def __init__(self, length: int, powers: Tensor, vocab: Vocab = DNA, seed: int = 0) -> None:
        super().__init__(length, vocab, seed)
        self.powers = powers.double()

    def hiding(self, tokens: Tensor, t: Tensor) -> Tensor:
        chance = self.moment(t)[:, None] ** self.powers  # (batch, n_letters)
        of_letters = chance[:, self.vocab.letter_index[self.sequences]]  # (batch, n, length)
        return torch.where((tokens == self.vocab.mask)[:, None], of_letters, 1.0).prod(-1)

    def moment(self, t: Tensor) -> Tensor:
        """m, of which t (batch,) is the mean of m**power over the letters, by bisection."""
        low, high = torch.zeros(len(t)).double(), torch.ones(len(t)).double()
        for _ in range(60):
            middle = (low + high) / 2
            above = (middle[:, None] ** self.powers).mean(1) > t.double()
            low, high = torch.where(above, low, middle), torch.where(above, middle, high)
        return (low + high) / 2


class Twins:
    """Two positions that always hold the same, uniform letter."""

    time_conditioned = False

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        other = DNA.letter_index[batch.tokens.flip(1)]  # (batch, 2), -1 where hidden
        known = torch.nn.functional.one_hot(other.clamp(min=0), 4).double().log()
        hidden = torch.full_like(known, 0.25).log()
        return torch.where((other >= 0)[..., None], known, hidden)[wanted]
