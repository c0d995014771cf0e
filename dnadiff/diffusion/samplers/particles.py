"""Towards a reward by trying several ways at once: particle methods, for any function of whole sequences.

The law that is aimed at is p(x) exp(strength * reward(x)), normalised, p being that of the sampler. The worth of a row
that still has hidden positions is log E[exp(strength * reward)] over its completions; unless it is given, it is
estimated from completions whose letters are drawn independently, given what is visible.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import NoiseSchedule, PosteriorDenoiser, Uniforms
from dnadiff.diffusion.samplers.ancestral import Ancestral, Moment
from dnadiff.diffusion.samplers.drawing import draw_letters
from dnadiff.vocab import Vocab

Reward = Callable[[Tensor], Tensor]
"""Tokens (rows, length), letters where masks were -> (rows,), finite."""
Worth = Callable[[Batch], Tensor]
"""Rows with masks -> (rows,), finite."""


@dataclass(frozen=True)
class Steered(ABC):
    """A sampler of which several copies of every row are tried, and some are kept.

    Attributes:
        sampler: what moves them.
        reward: of whole sequences.
        number: of copies of a row.
        strength: of the reward.
        completions: of a row, to estimate its worth.
        worth: of a row with masks, where it is known.
    """

    sampler: Ancestral
    reward: Reward
    number: int = 16
    strength: float = 1.0
    completions: int = 1
    worth: Worth | None = None

    def n_steps(self, length: int) -> int:
        """Those of the sampler."""
        return self.sampler.n_steps(length)

    @abstractmethod
    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""

    def _step(self, crowd: Crowd, moment: Moment) -> Crowd:
        """The copies a step later; the worth of those that did not change is what it was."""
        state = self.sampler.step(crowd.denoiser, crowd.state, moment, crowd.vocab, crowd.uniforms)
        changed = (state.tokens != crowd.state.tokens).any(1)
        return self._judged(replace(crowd, state=state), changed, moment.hide_after)

    def _judged(self, crowd: Crowd, chosen: Tensor, hide: float) -> Crowd:
        """With the worth of the chosen copies (rows,)."""
        tokens, which = crowd.state.tokens, crowd.uniforms(self.completions, crowd.state.tokens.shape[1])
        if not chosen.any():
            return crowd
        hidden = (tokens == crowd.vocab.mask) & chosen[:, None]
        whole = chosen & ~hidden.any(1)
        worth = crowd.worth.masked_scatter(whole, self.strength * self._rewards(tokens[whole]))
        if not hidden.any():
            return replace(crowd, worth=worth)
        partial = hidden.any(1)
        if self.worth is not None:
            return replace(crowd, worth=worth.masked_scatter(partial, self.worth(crowd.state.where(partial)).double()))

        def decision(log_probs: Tensor, *numbers: Tensor) -> tuple[Tensor, ...]:
            return tuple(draw_letters(log_probs, each, crowd.vocab) for each in numbers)

        drawn = self.sampler.decide(crowd.denoiser, crowd.state, hidden, hide, decision, *which.unbind(1))
        filled = torch.cat([tokens.masked_scatter(hidden, letters)[partial] for letters in drawn])
        rewards = self.strength * self._rewards(filled).view(self.completions, -1)
        mean = rewards.logsumexp(0) - math.log(self.completions)
        return replace(crowd, worth=worth.masked_scatter(partial, mean))

    def _rewards(self, tokens: Tensor) -> Tensor:
        return self.reward(tokens).double().to(tokens.device) if len(tokens) else tokens.new_empty(0).double()


@dataclass(frozen=True)
class Shared:
    """Uniforms of copies, (rows * number, *shape), from one stream for each row."""

    own: Uniforms
    number: int

    def __call__(self, *shape: int) -> Tensor:
        return self.own(self.number, *shape).flatten(0, 1)

    def branch(self, number: int) -> Shared:
        """See `Uniforms`."""
        return Shared(self.own.branch(number), self.number)


@dataclass(frozen=True)
class Crowd:
    """Copies of rows, and how they are moved: those of a row side by side.

    Attributes:
        worth: (rows * number,) float64.
    """

    state: Batch
    worth: Tensor
    number: int
    denoiser: PosteriorDenoiser
    vocab: Vocab
    uniforms: Shared

    @classmethod
    def of(cls, state: Batch, number: int, denoiser: PosteriorDenoiser, vocab: Vocab, own: Uniforms) -> Crowd:
        """`number` copies of every row."""
        rows = torch.arange(len(state.tokens), device=state.tokens.device).repeat_interleave(number)
        worth = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
        return cls(state.where(rows), worth, number, denoiser, vocab, Shared(own, number))

    def take(self, copies: Tensor) -> Crowd:
        """Copies by their number within each row, (rows, n): as many of every row."""
        first = torch.arange(len(copies), device=copies.device)[:, None] * self.number
        chosen = (first + copies).flatten()
        return replace(self, state=self.state.where(chosen), worth=self.worth[chosen])

    def one_of_each(self, log_weights: Tensor) -> Crowd:
        """One copy of each row, drawn by weights (rows, number), as often as there are copies."""
        return self.take(_draw(log_weights, self.uniforms.own()[:, None]).expand(-1, self.number))

    def first(self) -> Batch:
        """The first copy of each row."""
        return self.state.where(torch.arange(0, len(self.worth), self.number, device=self.worth.device))

    def by_row(self, values: Tensor) -> Tensor:
        """(rows * number,) -> (rows, number)."""
        return values.view(-1, self.number)


@dataclass(frozen=True)
class SVDD(Steered):
    """At every step the next state of a row is drawn from candidates by their worth (Li et al. 2024).

    Tends to the law that is aimed at as candidates grow if worth is exact; of estimates the bias stays that letters of
    completions are drawn independently.
    """

    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""
        crowd = Crowd.of(state, self.number, denoiser, vocab, uniforms)
        crowd = self._judged(crowd, torch.ones_like(crowd.worth, dtype=torch.bool), 1.0)
        for moment in self.sampler.moments(schedule):
            crowd = self._step(crowd, moment)
            crowd = crowd.one_of_each(crowd.by_row(crowd.worth))
            yield crowd.first()


@dataclass(frozen=True)
class SMC(Steered):
    """Particles with weights that are drawn anew where few carry all the weight; one of them is drawn at the end.

    Tends to the law that is aimed at as particles grow, whatever the worth of rows with masks (Wu et al. 2023). Copies
    are drawn by systematic resampling.

    Attributes:
        threshold: share of the particles; where the effective number of them is below, they are drawn anew.
    """

    threshold: float = 0.5

    def sample(
        self, denoiser: PosteriorDenoiser, state: Batch, schedule: NoiseSchedule, vocab: Vocab, *, uniforms: Uniforms
    ) -> Iterator[Batch]:
        """Fill every mask of `state`, yielding the state after each step; visible positions never change."""
        crowd = Crowd.of(state, self.number, denoiser, vocab, uniforms)
        crowd = self._judged(crowd, torch.ones_like(crowd.worth, dtype=torch.bool), 1.0)
        log_weights = crowd.by_row(torch.zeros_like(crowd.worth))
        for moment in self.sampler.moments(schedule):
            after = self._step(crowd, moment)
            log_weights = log_weights + crowd.by_row(after.worth - crowd.worth)
            copies, log_weights = self._anew(log_weights, uniforms())
            crowd = after.take(copies)
            one = _draw(log_weights, uniforms()[:, None])
            yield crowd.take(one).state

    def _anew(self, log_weights: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Which copies go on, and with which weights, (rows, number) both."""
        weights = log_weights.softmax(1)
        few = (1.0 / weights.square().sum(1) < self.threshold * self.number)[:, None]
        comb = (uniforms[:, None] + torch.arange(self.number, device=uniforms.device)) / self.number
        as_they_are = torch.arange(self.number, device=uniforms.device).expand_as(comb)
        return torch.where(few, _draw(log_weights, comb), as_they_are), log_weights.masked_fill(few, 0.0)


def _draw(log_weights: Tensor, uniforms: Tensor) -> Tensor:
    """Numbers of copies drawn by weight: (rows, number) and (rows, n) in [0, 1) -> (rows, n)."""
    cumulative = log_weights.softmax(1).cumsum(1)
    cumulative = cumulative / cumulative[:, -1:]
    return torch.searchsorted(cumulative[:, :-1].contiguous(), uniforms.contiguous(), right=True)
