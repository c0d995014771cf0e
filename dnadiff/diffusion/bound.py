"""The default evaluator: the bound on -log p(x) by the *number* of hidden positions.

With m uniform on (0, 1], hiding each scored position with chance m and weighting by 1/m gives, for every n = 1..N,
the average cross-entropy at n hidden positions the same weight. So n is drawn (stratified over 1..N), then a random
subset of that size, and N times the mean cross-entropy over it is an unbiased estimate of the continuous-time bound,
without the noise of Bernoulli counts: a uniform denoiser gives log 4 per base on every draw. The integral covers the
whole of (0, 1], whatever schedule a model was trained with.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.contracts import PosteriorDenoiser
from dnadiff.diffusion.subs import letter_nats
from dnadiff.vocab import Vocab


def spread_fractions(generator: np.random.Generator, n_rows: int) -> np.ndarray:
    """(n_rows,) in [0, 1): one fraction in each of `n_rows` equal strata, in random order."""
    return np.asarray((generator.permutation(n_rows) + generator.random(n_rows)) / n_rows)


def hide_random_numbers(scored: np.ndarray, fractions: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Choose hidden positions: a number per row, then a uniform subset of that size.

    Args:
        scored: (batch, length) bool.
        fractions: (batch,) in [0, 1) from `spread_fractions`; row r hides 1 + floor(fraction * n_scored) positions.
        uniforms: (batch, length) in [0, 1); the positions with the smallest ones are hidden.

    Returns:
        (batch, length) bool, a subset of `scored`; rows with nothing scored hide nothing.
    """
    n_scored = scored.sum(1)
    n_hidden = np.minimum(np.floor(fractions * n_scored).astype(np.int64) + 1, n_scored)
    ranks = np.where(scored, uniforms, 2.0).argsort(1).argsort(1)
    return np.asarray(ranks < n_hidden[:, None])


@torch.no_grad()
def bound_nats(denoiser: PosteriorDenoiser, batch: Batch, hidden: Tensor, vocab: Vocab) -> Tensor:
    """One draw of the bound for every row.

    Args:
        hidden: (batch, length) bool from `hide_random_numbers`, on the batch's device.

    Returns:
        (batch,) float64 nats per row; zero where nothing is scored.
    """
    scored = vocab.is_letter(batch.tokens) & batch.real
    noisy = replace(batch, tokens=batch.tokens.masked_fill(hidden, vocab.mask))
    n_hidden, n_scored = hidden.sum(1), scored.sum(1)
    times = n_hidden / n_scored.clamp(min=1) if denoiser.time_conditioned else None
    nats = letter_nats(denoiser(noisy, hidden, times), batch.tokens[hidden], vocab).double()
    rows = hidden.nonzero()[:, 0]
    total = torch.zeros(len(hidden), dtype=torch.float64, device=nats.device).index_add_(0, rows, nats)
    return total / n_hidden.clamp(min=1) * n_scored
