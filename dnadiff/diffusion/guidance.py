"""Guidance: denoisers that lean towards what is wanted (Schiff et al. 2024, Simple guidance; Nisonoff et al. 2024).

Each takes a denoiser and is one. The law of a hidden position is p(letter | visible) p(wanted | visible, letter),
normalised. Where the last factor is given exactly, one position at a time and at strength 1, what is drawn has the law
of the model given what is wanted. Other strengths sharpen each choice, and the law of whole sequences has no such
closed form: measure what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import Answers, answers_of
from dnadiff.diffusion.contracts import PosteriorDenoiser
from dnadiff.vocab import Vocab

Factor = Callable[[Batch], Tensor]
"""log p(what is wanted | row), (batch,), of rows whose hidden positions hold the mask; up to a constant of all rows."""


@dataclass(frozen=True)
class ClassifierFree:
    """p(letter | class)^strength p(letter)^(1 - strength), of a network that knows both (Ho & Salimans 2022).

    Strength 0 is the network that is told no class, 1 the one that is told it; above, what tells the class from others
    counts more.
    """

    denoiser: PosteriorDenoiser
    strength: float

    @property
    def time_conditioned(self) -> bool:
        return self.denoiser.time_conditioned

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        """Log-probabilities at `wanted`: (n, n_letters) float64; see `PosteriorDenoiser`."""
        return self.answers(batch, wanted, t).all()

    def answers(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Answers:
        """The same in parts."""
        told = answers_of(self.denoiser, batch, wanted, t)
        untold = answers_of(self.denoiser, replace(batch, label=None), wanted, t)
        n_told = len(told.given)

        def read(*given: Tensor) -> Tensor:
            return self._leaning(told.read(*given[:n_told]).double(), untold.read(*given[n_told:]).double())

        return Answers((*told.given, *untold.given), read, told.columns)

    def _leaning(self, told: Tensor, untold: Tensor) -> Tensor:
        gain = (told - untold).masked_fill(untold.isneginf(), 0.0)  # what cannot be without a class cannot be with one
        return torch.log_softmax(untold + self.strength * gain, dim=-1)


@dataclass(frozen=True)
class Guided:
    """p(letter) times the factor of the row with that letter, to the strength: every letter is asked for.

    Attributes:
        batch_size: rows that the factor is given at a time; n_letters of them for every position that is wanted.
    """

    denoiser: PosteriorDenoiser
    factor: Factor
    vocab: Vocab
    strength: float = 1.0
    batch_size: int = 256

    @property
    def time_conditioned(self) -> bool:
        return self.denoiser.time_conditioned

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        """Log-probabilities at `wanted`: (n, n_letters) float64; see `PosteriorDenoiser`."""
        log_probs = self.denoiser(batch, wanted, t).double()
        letters = self.vocab.letter_ids.to(wanted.device)
        changes = wanted.nonzero().repeat_interleave(len(letters), 0)  # (n n_letters, 2): row and position
        tokens = letters.repeat(len(log_probs))
        starts = range(0, len(tokens), self.batch_size)
        parts = [self._factor(batch, changes[i : i + self.batch_size], tokens[i : i + self.batch_size]) for i in starts]
        factors = torch.cat(parts).double() if parts else log_probs.new_empty(0)
        return torch.log_softmax(log_probs + self.strength * factors.view(log_probs.shape), dim=-1)

    def _factor(self, batch: Batch, changes: Tensor, tokens: Tensor) -> Tensor:
        """Of rows with one change each: (rows, 2) row and position, (rows,) token there."""
        row, position = changes.unbind(1)
        rows = batch.where(row)
        return self.factor(replace(rows, tokens=rows.tokens.scatter(1, position[:, None], tokens[:, None])))


@dataclass(frozen=True)
class FirstOrder:
    """`Guided` by the factor's slope instead of its values: one pass and its gradient, however many letters there are.

    log p(wanted | row with a letter) is read as linear in what the letter's embedding changes (Vignac et al. 2023).

    Attributes:
        embed: tokens (...) -> (..., width), how the factor reads them.
        factor: embedded rows (batch, length, width) -> (batch,), differentiable.
    """

    denoiser: PosteriorDenoiser
    embed: Callable[[Tensor], Tensor]
    factor: Callable[[Tensor], Tensor]
    vocab: Vocab
    strength: float = 1.0

    @property
    def time_conditioned(self) -> bool:
        return self.denoiser.time_conditioned

    def __call__(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Tensor:
        """Log-probabilities at `wanted`: (n, n_letters) float64; see `PosteriorDenoiser`."""
        return self.answers(batch, wanted, t).all()

    def answers(self, batch: Batch, wanted: Tensor, t: Tensor | None = None) -> Answers:
        """The same in parts."""
        inside = answers_of(self.denoiser, batch, wanted, t)
        embedded = self.embed(batch.tokens).detach()
        with torch.enable_grad():
            leaf = embedded.requires_grad_()
            (slope,) = torch.autograd.grad(self.factor(leaf).sum(), leaf)
        letters = self.vocab.letter_ids.to(wanted.device)
        mask = torch.full_like(letters[:1], self.vocab.mask)
        change = (self.embed(letters) - self.embed(mask)).detach()  # (n_letters, width)

        def read(*given: Tensor) -> Tensor:
            tilt = (given[-1] @ change.mT).double()
            return torch.log_softmax(inside.read(*given[:-1]).double() + self.strength * tilt, dim=-1)

        return Answers((*inside.given, slope[wanted]), read, inside.columns)
