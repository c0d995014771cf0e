"""Drawing sequences from a model."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

import numpy as np
import torch

from dnadiff.batch import Batch
from dnadiff.diffusion.caching import Cached
from dnadiff.diffusion.contracts import Denoiser, PosteriorDenoiser
from dnadiff.diffusion.samplers import Sampler
from dnadiff.diffusion.uniforms import RowUniforms
from dnadiff.inference.device import best_device, borrowed
from dnadiff.model import DiffusionModel

log = logging.getLogger("dnadiff")


def sample(
    model: DiffusionModel,
    n: int,
    length: int,
    sampler: Sampler,
    *,
    seed: int = 0,
    batch_size: int = 16,
    progress: Callable[[int], None] = lambda _: None,
) -> np.ndarray:
    """Draw sequences from nothing but masks.

    Args:
        n, length: how many, and how many letters each.
        sampler: `Auto` is the objective's plain one.
        batch_size: sequences at a time; does not change what is drawn, but for rounding inside the network.
        progress: called with the number of steps done after each step of each batch.

    Returns:
        (n, length) int64 tokens, letters only.

    Raises:
        InputError: the sampler takes another denoiser than the model gives.
    """
    chosen, drawn = model.config.objective.sampler(sampler), []
    with borrowed(model, device := best_device()):
        for start in range(0, n, batch_size):
            rows = min(batch_size, n - start)
            state = Batch(torch.full((rows, length), model.vocab.mask, device=device))
            uniforms = RowUniforms(seed, range(start, start + rows), device)
            denoiser, tokens = spared(model.denoiser(), chosen.takes), state.tokens
            for after in chosen.sample(denoiser, state, model.schedule, model.vocab, uniforms=uniforms):
                tokens = after.tokens
                progress(1)
            drawn.append(tokens.cpu().numpy())
    return np.concatenate(drawn) if drawn else np.empty((0, length), np.int64)


def warn_if_untried(length: int, trained: int | None) -> None:
    """Say so where sequences are to be longer than what a model was trained on."""
    if trained is not None and length > trained:
        log.warning(
            "length %d: the model was trained on windows of %d; what it does beyond is untried", length, trained
        )


def spared(denoiser: Denoiser, takes: type) -> Denoiser:
    """The same answers from fewer rows, where a cache can give them."""
    if takes is not PosteriorDenoiser:
        return denoiser
    posterior = cast(PosteriorDenoiser, denoiser)
    return posterior if posterior.time_conditioned else Cached(posterior)
