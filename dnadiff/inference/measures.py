"""What is drawn for every row: its likelihood as the objective has it, a pseudo-likelihood, or the training loss."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import NamedTuple, cast

import torch
from torch import Tensor

from dnadiff.batch import Batch
from dnadiff.diffusion.answers import answers_of
from dnadiff.diffusion.contracts import Likelihood, PosteriorDenoiser
from dnadiff.diffusion.estimators import Estimator, Numbers
from dnadiff.diffusion.nats import nats_of
from dnadiff.diffusion.noise import Noise
from dnadiff.diffusion.objectives.masked import hide, scored_positions
from dnadiff.diffusion.strands import nats_of_both_strands, opposite_strand
from dnadiff.errors import InputError
from dnadiff.inference.estimate import Meaning
from dnadiff.model import DiffusionModel
from dnadiff.network import StrandSymmetric

Draw = Callable[[Batch, Noise], Tensor]


class Measure(NamedTuple):
    """One way to put nats on rows.

    Attributes:
        draw: rows and their noise -> (batch,) float64 nats, one draw for each row.
        meaning: what the mean over draws is to -log p.
        n_uniforms: of the noise, per position.
        by_batch: whether perplexities of batches are averaged, as published.
    """

    draw: Draw
    meaning: Meaning
    n_uniforms: int
    by_batch: bool = False


def likelihood(model: DiffusionModel, estimator: Estimator | None = None) -> Measure:
    """What the objective knows of -log p: itself, a bound, or, where it knows nothing, a pseudo-likelihood.

    Args:
        estimator: of the bound; None for the default.

    Raises:
        InputError: an estimator is named where none is used.
    """
    if estimator is not None and not model.objective.estimated:
        name = type(model.config.objective).__name__
        raise InputError(f"evaluate.estimator: {name} here has no masks that one would draw; leave it out")
    match model.objective.likelihood:
        case Likelihood.NONE:
            return Measure(lambda batch, noise: _one_hidden(model, batch, noise), Meaning.PSEUDO, 0)
        case Likelihood.EXACT:
            meaning = Meaning.EXACT
        case Likelihood.BOUND:
            meaning = Meaning.BOUND
    chosen = estimator or Numbers()
    return Measure(lambda batch, noise: model.row_nats(batch, noise, chosen), meaning, model.objective.n_uniforms)


def training_loss(model: DiffusionModel) -> Measure:
    """The objective's own loss, as published: times of its own schedule, spread evenly over each batch.

    Raises:
        InputError: the loss is no likelihood at all.
    """
    if model.objective.likelihood is Likelihood.NONE:
        raise InputError(
            f"evaluate.protocol=paper: the loss of {type(model.config.objective).__name__} is no likelihood; "
            "leave it at strict, for the pseudo-likelihood"
        )
    exact = model.objective.likelihood is Likelihood.EXACT
    meaning = Meaning.EXACT if exact else Meaning.LOSS
    n_uniforms = model.objective.n_uniforms
    return Measure(lambda batch, noise: _loss(model, batch, noise), meaning, n_uniforms, by_batch=True)


def both_strands(measure: Measure, model: DiffusionModel) -> Measure:
    """Of the law that draws either strand with equal chance: exact where the parts are, else the mean of the parts.

    By convexity the mean of two bounds on -log p and -log p(reverse complement) bounds -log of the mean. Uniforms are
    mirrored with the row. An equivariant network gives both strands the same law, so that one of them is enough.

    Raises:
        InputError: the vocabulary has no opposite strand.
    """
    if model.vocab.complement is None:
        raise InputError("evaluate.strands=both: these letters have no opposite strand; leave it at given")
    if isinstance(model.network, StrandSymmetric):
        return measure

    def draw(batch: Batch, noise: Noise) -> Tensor:
        given = measure.draw(batch, noise)
        mirrored = Noise(noise.times, noise.uniforms.flip(-1))
        opposite = measure.draw(opposite_strand(batch, model.vocab), mirrored)
        exact = measure.meaning is Meaning.EXACT
        return nats_of_both_strands(given, opposite) if exact else (given + opposite) / 2

    return measure._replace(draw=draw)


def in_steps(model: DiffusionModel, n_steps: int) -> DiffusionModel:
    """The same network and schedule, read as a chain of so many steps.

    Raises:
        InputError: the objective has no such reading.
    """
    chain = copy(model)  # which shares all parameters
    chain.objective = model.config.objective.in_steps(n_steps).build(model.network, model.vocab)
    return chain


def posterior(model: DiffusionModel) -> PosteriorDenoiser:
    """The model as the distribution of each hidden letter given all that is visible.

    Raises:
        InputError: its objective makes it something else.
    """
    objective = model.config.objective
    takes = objective.plain.takes
    if PosteriorDenoiser not in takes.__mro__:
        raise InputError(
            f"{type(objective).__name__} gives a {takes.__name__}, which knows no hidden letters given all others; "
            "use method='bound' over whole sequences"
        )
    return cast(PosteriorDenoiser, model.denoiser())


@torch.no_grad()
def _one_hidden(model: DiffusionModel, batch: Batch, noise: Noise) -> Tensor:
    """The cost of one letter of each row, drawn evenly, given all others, times their number."""
    scored = scored_positions(batch, model.vocab)
    n_scored = scored.sum(1)
    number = (noise.times.double() * n_scored).floor().long()
    hidden = scored & (scored.cumsum(1) - 1 == number[:, None])
    denoiser = posterior(model)
    t = 1 / n_scored.clamp(min=1) if denoiser.time_conditioned else None
    answers = answers_of(denoiser, hide(batch, hidden, model.vocab), hidden, t)
    nats = nats_of(answers, batch.tokens[hidden], model.vocab)
    return torch.zeros_like(n_scored, dtype=torch.float64).masked_scatter(n_scored > 0, nats) * n_scored


@torch.no_grad()
def _loss(model: DiffusionModel, batch: Batch, noise: Noise) -> Tensor:
    n_rows = len(batch.tokens)
    times = (noise.times[0] + torch.arange(n_rows, device=noise.times.device) / n_rows) % 1.0
    return model.loss(batch, Noise(times.float(), noise.uniforms.float())).nats.double().sum(1)
