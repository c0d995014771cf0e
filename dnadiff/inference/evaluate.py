"""The bound of a model on rows of tokens, by the default evaluator (`dnadiff.diffusion.bound`)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from dnadiff.batch import Batch
from dnadiff.diffusion.bound import bound_nats, hide_random_numbers, spread_fractions
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.estimate import Estimate, estimate
from dnadiff.model import DiffusionModel
from dnadiff.rng import Stream, numpy_generator


def evaluate(
    model: DiffusionModel,
    read: Callable[[np.ndarray], np.ndarray],
    n_rows: int,
    *,
    seed: int = 0,
    sweeps: int = 5,
    batch_size: int = 32,
    progress: Callable[[int], None] = lambda _: None,
) -> Estimate:
    """Bound on -log p per letter with its interval.

    Args:
        read: row numbers (n,) -> tokens (n, length), unaugmented, padded with the vocabulary's pad; in genome order.
        n_rows: rows to score.
        sweeps: independent passes over all rows; at least 5 for an honest Monte Carlo interval.
        progress: called with the rows done after each batch.

    Raises:
        InputError: nothing to score.
    """
    nats = np.zeros((sweeps, n_rows))
    n_scored = np.zeros(n_rows, dtype=np.int64)
    with borrowed(model, device := best_device()):
        for sweep in range(sweeps):
            fractions = spread_fractions(numpy_generator(seed, Stream.EVALUATE, sweep), n_rows)
            for start in range(0, n_rows, batch_size):
                rows = np.arange(start, min(start + batch_size, n_rows))
                tokens = torch.from_numpy(read(rows).astype(np.int64))
                scored = model.vocab.is_letter(tokens).numpy()
                uniforms = _uniforms(seed, sweep, rows, tokens.shape[1])
                hidden = hide_random_numbers(scored, fractions[rows], uniforms)
                valid = tokens != model.vocab.pad
                batch = Batch(tokens, valid=None if valid.all() else valid).to(device)
                nats[sweep, rows] = bound_nats(
                    model.denoiser(), batch, torch.from_numpy(hidden).to(device), model.vocab
                ).cpu()
                n_scored[rows] = scored.sum(1)
                progress(len(rows))
    return estimate(nats, n_scored, generator=numpy_generator(seed, Stream.BOOTSTRAP))


def _uniforms(seed: int, sweep: int, rows: np.ndarray, length: int) -> np.ndarray:
    """(n, length) in [0, 1), a function of (seed, sweep, row): batches and ranks cannot change a figure."""
    return np.stack([numpy_generator(seed, Stream.EVALUATE, sweep, 1 + int(row)).random(length) for row in rows])
