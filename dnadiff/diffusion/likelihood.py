"""Likelihoods of one sequence from a denoiser that gives each hidden position its distribution given what is visible.

A masked diffusion model reveals positions in an order drawn at random, so p(x) is the mean over orders of the *product*
of its conditionals: `exact` sums that over the 2**n sets of visible positions. The mean over orders of the *logs* is at
most log p(x) (Hoogeboom et al. 2022, "Autoregressive Diffusion Models"); `chain_rule` and `bound` estimate it.
`pseudo` multiplies conditionals that need not belong to any one distribution, and bounds nothing.

Each function takes the positions whose letters are in question, ascending; all others are given, so that the result is
a conditional likelihood. A network that is conditioned on time is told when the next position is revealed, each at a
time of its own, uniform in [0, 1): one more thing that p(x) is a mean over, which leaves it only bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Generator, Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import answers_of
from dnadiff.diffusion.contracts import PosteriorDenoiser
from dnadiff.diffusion.estimators import Estimator
from dnadiff.diffusion.nats import nats_of
from dnadiff.diffusion.noise import Noise
from dnadiff.vocab import Vocab

MOST_POSITIONS = 14  # of `exact`: 2**14 rows through the network


def exact(
    denoiser: PosteriorDenoiser, tokens: Tensor, positions: Tensor, vocab: Vocab, *, batch_size: int = 256
) -> Tensor:
    """Log p of the letters at `positions` given all others, with every order of revealing them equally likely.

    With F(S) the mean over orders of S of the product of its conditionals, F(S) is the mean over j in S of F(S - j)
    p(x_j | S - j).

    Args:
        denoiser: not conditioned on time.
        tokens: (length,) ids, letters at `positions`.
        positions: (n,) int64, ascending, n at most `MOST_POSITIONS`.
        batch_size: rows through the network at a time.

    Returns:
        () float64 nats.
    """
    n = len(positions)
    assert n <= MOST_POSITIONS, "2**n rows"
    assert not denoiser.time_conditioned, "a sum over masks is not one over times"
    digits = 2 ** torch.arange(n)
    members = (torch.arange(2**n)[:, None] & digits) != 0  # (2**n, n): who is visible in each set
    conditionals = torch.zeros(2**n, n, dtype=torch.float64)
    for rows in _batches(2**n - 1, batch_size):
        wanted = ~members[rows]
        conditionals[rows].masked_scatter_(wanted, -_nats(denoiser, tokens, positions, wanted, wanted, vocab))
    log_f = torch.zeros(2**n, dtype=torch.float64)
    for k in range(1, n + 1):
        (sets,) = (members.sum(1) == k).nonzero(as_tuple=True)
        (_, joined) = members[sets].nonzero(as_tuple=True)  # the k members of each set, each as the last to join
        before = sets.repeat_interleave(k) - digits[joined]
        log_f[sets] = (log_f[before] + conditionals[before, joined]).view(-1, k).logsumexp(1) - math.log(k)
    return log_f[-1]


def chain_rule(
    denoiser: PosteriorDenoiser,
    tokens: Tensor,
    positions: Tensor,
    vocab: Vocab,
    *,
    orders: int,
    generator: Generator,
    batch_size: int = 256,
) -> Tensor:
    """Sums of log conditionals along random orders; their mean estimates a lower bound on log p.

    Args:
        orders: how many; each takes n passes of one row.

    Returns:
        (orders,) float64 nats, independent.
    """
    n = len(positions)
    times = torch.rand(orders, n, generator=generator)  # at which each position is revealed, from 1 down to 0
    nats = torch.zeros(orders * n, dtype=torch.float64)
    for rows in _batches(orders * n, batch_size):
        number = torch.arange(rows.start, rows.stop)
        revealed, t = times[number // n], times.flatten()[number]
        wanted = torch.arange(n) == (number % n)[:, None]
        nats[rows] = _nats(denoiser, tokens, positions, revealed <= t[:, None], wanted, vocab, t)
    return -nats.view(orders, n).sum(1)


def bound(
    denoiser: PosteriorDenoiser,
    tokens: Tensor,
    positions: Tensor,
    vocab: Vocab,
    *,
    estimator: Estimator,
    noise: Noise,
    batch_size: int = 256,
) -> Tensor:
    """Draws of the continuous-time bound, each from one pass (`Pairs`: two); the same expectation as `chain_rule`.

    Args:
        noise: of (draws, 1, n), times spread over the draws.

    Returns:
        (draws,) float64 nats.
    """
    return bound_by_position(
        denoiser, tokens, positions, vocab, estimator=estimator, noise=noise, batch_size=batch_size
    ).sum(1)


def bound_by_position(
    denoiser: PosteriorDenoiser,
    tokens: Tensor,
    positions: Tensor,
    vocab: Vocab,
    *,
    estimator: Estimator,
    noise: Noise,
    batch_size: int = 256,
) -> Tensor:
    """Each letter's share of `bound`, whose mean is that over orders of log p of it given those before; same arguments.

    Returns:
        (draws, n) float64 nats.
    """
    draws = torch.zeros(len(noise.times), len(positions), dtype=torch.float64)
    for rows in _batches(len(draws), batch_size):
        part = noise.rows(rows.start, rows.stop)
        all_scored = torch.ones(len(part.times), len(positions), dtype=torch.bool)
        choices = estimator.masks(all_scored, part)
        for hidden, weight, times in choices:
            nats = _nats(denoiser, tokens, positions, hidden, hidden, vocab, times)
            of_row, place = hidden.nonzero(as_tuple=True)
            draws[rows].index_put_((of_row, place), -nats * weight[of_row] / len(choices), accumulate=True)
    return draws


def pseudo(
    denoiser: PosteriorDenoiser, tokens: Tensor, positions: Tensor, vocab: Vocab, *, batch_size: int = 256
) -> Tensor:
    """Pseudo-log-likelihood (Besag 1975): every position given all others. No bound, and no distribution.

    A network that is conditioned on time is told one over the number of letters.

    Returns:
        (n,) float64 nats, log p of each letter given the rest.
    """
    nats = torch.zeros(len(positions), dtype=torch.float64)
    for rows in _batches(len(positions), batch_size):
        one = torch.arange(rows.start, rows.stop)[:, None] == torch.arange(len(positions))
        share = (1 / vocab.is_letter(tokens).sum()).expand(len(one))
        nats[rows] = _nats(denoiser, tokens, positions, one, one, vocab, share)
    return -nats


def _batches(n_rows: int, batch_size: int) -> Iterator[slice]:
    for start in range(0, n_rows, batch_size):
        yield slice(start, min(start + batch_size, n_rows))


@torch.no_grad()
def _nats(
    denoiser: PosteriorDenoiser,
    tokens: Tensor,
    positions: Tensor,
    hidden: Tensor,
    wanted: Tensor,
    vocab: Vocab,
    times: Tensor | None = None,
) -> Tensor:
    """(n wanted,) float64 -log p of the true letters.

    Args:
        tokens: (length,); positions: (n,) of it.
        hidden, wanted: (batch, n) bool, which of `positions` are hidden, and which of these are asked for.
        times: (batch,), for networks that are conditioned on them.
    """
    rows = tokens.expand(len(hidden), -1)
    nowhere = torch.zeros(rows.shape, dtype=torch.bool)
    hidden, wanted = (nowhere.index_copy(1, positions, chosen).to(tokens.device) for chosen in (hidden, wanted))
    valid = rows != vocab.pad
    t = times.to(tokens.device) if times is not None and denoiser.time_conditioned else None
    noisy = Batch(rows.masked_fill(hidden, vocab.mask), valid=None if valid.all() else valid)
    return nats_of(answers_of(denoiser, noisy, wanted, t), rows[wanted], vocab).cpu()
