"""Likelihoods of single sequences, and of regions of them given their flanks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion import likelihood as over_orders
from dnadiff.diffusion.contracts import Likelihood, PosteriorDenoiser
from dnadiff.diffusion.estimators import Numbers
from dnadiff.diffusion.learned_schedule import LearnedSchedule
from dnadiff.diffusion.noise import Noise, spread_times
from dnadiff.errors import InputError
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.estimate import Meaning
from dnadiff.inference.measures import likelihood, posterior
from dnadiff.model import DiffusionModel
from dnadiff.rng import Stream, numpy_generator

Method = Literal["bound", "exact", "chain_rule", "pseudo"]


class LogProb(NamedTuple):
    """Log-likelihood of the letters of one sequence, or of one region given its flanks.

    Attributes:
        nats: the figure, at most 0; N and other unknown bases are given and not scored.
        standard_error: of the figure, from the draws; 0 where none are made. Stratified draws make it too large.
        n_scored: letters.
        meaning: what `-nats` is to the model's -log p.
    """

    nats: float
    standard_error: float
    n_scored: int
    meaning: Meaning


class Question(NamedTuple):
    """A row and the positions in it whose letters are in question.

    Attributes:
        tokens: (length,) int64 on the model's device.
        positions: (n,) int64, letters, ascending.
        whole: whether these are all letters of the row.
        where: what messages call the row.
    """

    tokens: Tensor
    positions: Tensor
    whole: bool
    where: str


def log_prob(
    model: DiffusionModel,
    tokens: np.ndarray,
    method: Method = "bound",
    *,
    region: tuple[int, int] | None = None,
    draws: int = 64,
    seed: int = 0,
    batch_size: int = 64,
    where: str = "",
) -> LogProb:
    """Log p of a sequence, or of a region given its flanks.

    `bound` is of the law that the objective trains. All else is of that which reveals one position at a time in random
    order by the distribution of its letter given what is visible: the same for MDLM, MD4 and D3PM in the limit of many
    steps; for SEDD and MLM that of their normalised posterior, which samplers of a posterior draw from.

    Args:
        tokens: (length,) ids.
        method: `bound`, from `draws` draws, exact where the model is; `exact`, of a masked model that reveals one
            position at a time in random order, by a sum over all masks of up to 14 positions; `chain_rule`, the bound
            once more, from `draws` orders with a pass for each position; `pseudo`, each letter given all others.
        region: start and end in the sequence, 0-based, half-open; None for all of it.
        draws: more make the error smaller; `exact` and `pseudo` need none.
        seed: of the draws.
        batch_size: rows through the network at a time; does not change the figure beyond rounding.
        where: what a message begins with that is about this sequence, such as `sequence 3: `.

    Raises:
        InputError: no letter to score, a region outside the sequence, or a method that the model or length rules out.
    """
    methods: dict[Method, Callable[[], LogProb]] = {
        "bound": lambda: _bound(model, question, draws, seed, batch_size),
        "exact": lambda: _exact(model, question, batch_size),
        "chain_rule": lambda: _chain_rule(model, question, draws, seed, batch_size),
        "pseudo": lambda: _pseudo(model, question, batch_size),
    }
    if method not in methods:
        raise InputError(f"method={method!r}: choose one of {', '.join(methods)}")
    with borrowed(model, device := best_device()), torch.no_grad():
        question = _question(torch.from_numpy(tokens.astype(np.int64)).to(device), region, model, where)
        return methods[method]()


def base_log_probs(
    model: DiffusionModel,
    tokens: np.ndarray,
    method: Method = "bound",
    *,
    region: tuple[int, int] | None = None,
    draws: int = 64,
    seed: int = 0,
    batch_size: int = 64,
    where: str = "",
) -> tuple[LogProb, np.ndarray]:
    """Log p and what each base has of it: with `pseudo`, given all others; with `bound`, the mean over random orders of
    its log p given the bases before it. Arguments and errors as for `log_prob`, of which no other methods are parts.

    Returns:
        The figure, and (length,) float64 nats, nan where nothing is scored.
    """
    if method not in ("bound", "pseudo"):
        raise InputError(f"method={method!r}: has no parts for each base; choose bound or pseudo")
    with borrowed(model, device := best_device()), torch.no_grad():
        question = _question(torch.from_numpy(tokens.astype(np.int64)).to(device), region, model, where)
        positions = question.positions
        if method == "pseudo":
            parts = over_orders.pseudo(
                posterior(model), question.tokens, positions, model.vocab, batch_size=batch_size
            )[None]
            found = LogProb(float(parts.sum()), 0.0, len(positions), Meaning.PSEUDO)
        else:
            parts = over_orders.bound_by_position(
                in_any_order(model), question.tokens, positions, model.vocab,
                estimator=Numbers(), noise=_noise(draws, (1, len(positions)), seed), batch_size=batch_size,
            )  # fmt: skip
            found = _from_draws(parts.sum(1), question, Meaning.BOUND)
    values = np.full(len(tokens), np.nan)
    values[positions.numpy()] = parts.mean(0).numpy()
    return found, values


def _question(tokens: Tensor, region: tuple[int, int] | None, model: DiffusionModel, where: str) -> Question:
    start, end = region or (0, len(tokens))
    if not len(tokens):
        raise InputError(f"{where}no base to score: the sequence is empty; leave it out")
    if not 0 <= start < end <= len(tokens):
        inside = f"(0-{len(tokens)}); 0-based, half-open"
        raise InputError(f"{where}region {start}-{end}: is not inside the sequence {inside}")
    letters = model.vocab.is_letter(tokens).cpu()
    positions = start + letters[start:end].nonzero()[:, 0]
    if not len(positions):
        raise InputError(f"{where}no base to score between {start} and {end}: there is no A, C, G or T")
    return Question(tokens, positions, len(positions) == int(letters.sum()), where)


def _bound(model: DiffusionModel, question: Question, draws: int, seed: int, batch_size: int) -> LogProb:
    measure = likelihood(model)
    if measure.meaning is Meaning.PSEUDO:
        raise InputError(f"{_name(model)} has no likelihood, nor a bound; choose method='pseudo'")
    n_draws = 1 if measure.meaning is Meaning.EXACT else draws
    if question.whole:
        noise = _noise(n_draws, (measure.n_uniforms, len(question.tokens)), seed)
        nats = torch.cat([
            measure.draw(Batch(question.tokens.expand(len(part.times), -1)), part.to(question.tokens.device)).cpu()
            for part in (noise.rows(i, i + batch_size) for i in range(0, n_draws, batch_size))
        ])  # fmt: skip
        return _from_draws(-nats, question, measure.meaning)
    noise = _noise(draws, (1, len(question.positions)), seed)
    found = over_orders.bound(
        in_any_order(model), question.tokens, question.positions, model.vocab,
        estimator=Numbers(), noise=noise, batch_size=batch_size,
    )  # fmt: skip
    return _from_draws(found, question, Meaning.BOUND)


def _exact(model: DiffusionModel, question: Question, batch_size: int) -> LogProb:
    if model.objective.likelihood is Likelihood.EXACT and question.whole:
        return _bound(model, question, 1, 0, batch_size)
    denoiser, n = in_any_order(model), len(question.positions)
    if n > over_orders.MOST_POSITIONS:
        raise InputError(
            f"{question.where}method='exact': {n} positions need 2**{n} masks, more than "
            f"2**{over_orders.MOST_POSITIONS}; choose a shorter region, or method='bound' or 'chain_rule'"
        )
    if denoiser.time_conditioned:
        raise InputError(
            "method='exact': this network is told the time, which a sum over masks leaves out; "
            "choose method='bound' or 'chain_rule'"
        )
    found = over_orders.exact(denoiser, question.tokens, question.positions, model.vocab, batch_size=batch_size)
    return LogProb(float(found), 0.0, n, Meaning.EXACT)


def _chain_rule(model: DiffusionModel, question: Question, orders: int, seed: int, batch_size: int) -> LogProb:
    generator = torch.Generator().manual_seed(int(numpy_generator(seed, Stream.EVALUATE).integers(2**62)))
    found = over_orders.chain_rule(
        in_any_order(model), question.tokens, question.positions, model.vocab,
        orders=orders, generator=generator, batch_size=batch_size,
    )  # fmt: skip
    return _from_draws(found, question, Meaning.BOUND)


def _pseudo(model: DiffusionModel, question: Question, batch_size: int) -> LogProb:
    found = over_orders.pseudo(
        posterior(model), question.tokens, question.positions, model.vocab, batch_size=batch_size
    )
    return LogProb(float(found.sum()), 0.0, len(found), Meaning.PSEUDO)


def in_any_order(model: DiffusionModel) -> PosteriorDenoiser:
    """The posterior of a model that reveals positions in a uniformly random order."""
    if isinstance(model.schedule, LearnedSchedule):
        raise InputError(
            f"{_name(model)} reveals each letter at a rate of its own, not all in random order; "
            "use method='bound' over whole sequences, or 'pseudo'"
        )
    return posterior(model)


def _noise(draws: int, shape: tuple[int, int], seed: int) -> Noise:
    generator = numpy_generator(seed, Stream.EVALUATE)
    times = torch.from_numpy(spread_times(generator, draws))
    return Noise(times, torch.from_numpy(generator.random((draws, *shape))))


def _from_draws(nats: Tensor, question: Question, meaning: Meaning) -> LogProb:
    error = float(nats.std()) / len(nats) ** 0.5 if len(nats) > 1 else (0.0 if meaning is Meaning.EXACT else np.nan)
    return LogProb(float(nats.mean()), error, len(question.positions), meaning)


def _name(model: DiffusionModel) -> str:
    return type(model.config.objective).__name__
