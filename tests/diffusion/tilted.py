"""A small language tilted by what is wanted of whole sequences, all of it enumerated."""

from __future__ import annotations

import itertools

import torch
from laws import TableDenoiser
from torch import Tensor
from worlds import ExactNetwork

from dnadiff.batch import Batch


class TiltedWorld(ExactNetwork):
    """p(x) exp(reward(x)), normalised, and the exact factor of every row with masks."""

    def __init__(self, world: ExactNetwork, seed: int = 3) -> None:
        """Rewards are drawn at random, so that no product of positions can give them."""
        generator = torch.Generator().manual_seed(seed)
        self.world, self.rewards = world, torch.randn(len(world.sequences), generator=generator, dtype=torch.float64)
        log_probs = world.log_probs + self.rewards
        super().__init__(world.vocab, world.sequences, log_probs.log_softmax(0))
        symbols = torch.cat([world.vocab.letter_ids, torch.tensor([world.vocab.mask])])
        states = symbols[torch.tensor(list(itertools.product(range(len(symbols)), repeat=world.sequences.shape[1])))]
        fits = ((states[:, None] == world.sequences) | (states[:, None] == world.vocab.mask)).all(-1).double()
        self.factors = ((fits @ log_probs.exp()) / (fits @ world.log_probs.exp())).log()  # (states,)
        self.address = TableDenoiser(world)

    def factor(self, batch: Batch) -> Tensor:
        """log E[exp(reward) | what is visible]."""
        return self.factors[self.address.digit[batch.tokens] @ self.address.weight]

    def reward(self, tokens: Tensor) -> Tensor:
        """Of whole sequences."""
        letters = self.vocab.letter_index[tokens]
        return self.rewards[letters @ len(self.vocab.letters) ** torch.arange(tokens.shape[1]).flip(0)]
