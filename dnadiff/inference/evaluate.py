"""A model on rows of tokens: sweeps of draws, and the figure that they give."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch

from dnadiff.batch import Batch
from dnadiff.diffusion.noise import Noise, spread_times
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.draws import Draws, Shard
from dnadiff.inference.estimate import Estimate, Meaning, estimate, with_batch_perplexity
from dnadiff.inference.measures import Measure
from dnadiff.model import DiffusionModel
from dnadiff.rng import Stream, numpy_generator, row_uniforms

Read = Callable[[np.ndarray], np.ndarray]
ALL = Shard()
MOST_PARTS = 32  # a table that one still reads
NO_PARTS: Mapping[str, np.ndarray] = MappingProxyType({})


def evaluate(
    model: DiffusionModel,
    measure: Measure,
    read: Read,
    n_rows: int,
    *,
    seed: int = 0,
    sweeps: int = 5,
    batch_size: int = 32,
    progress: Callable[[int], None] = lambda _: None,
) -> Estimate:
    """Nats per letter with their interval.

    Args:
        measure: what is drawn, of the same model.
        read: row numbers (n,) -> tokens (n, length), unaugmented, padded with the vocabulary's pad; in genome order.
        n_rows: rows to score.
        sweeps: independent passes over all rows; at least 5 for an honest Monte Carlo interval. Exact ones need one.
        progress: called with the rows done after each batch.

    Raises:
        InputError: nothing to score.
    """
    draws = Draws.empty(n_sweeps(measure, sweeps), n_rows, batch_size)
    fill(draws, model, measure, read, seed=seed, progress=progress)
    return combine(draws, measure, seed=seed)


def n_sweeps(measure: Measure, asked: int) -> int:
    """One where a draw is exact."""
    return 1 if measure.meaning is Meaning.EXACT else asked


def fill(
    draws: Draws,
    model: DiffusionModel,
    measure: Measure,
    read: Read,
    *,
    seed: int,
    shard: Shard = ALL,
    tells_padding: bool = True,
    labels: np.ndarray | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> None:
    """Draw what is missing of a shard; arguments as for `evaluate`.

    Args:
        tells_padding: whether the network passes over padding; False where it was trained to read it, as on text.
        labels: (n_rows,) class of each row, for models that are told one; None: none is told.
    """
    with borrowed(model, device := best_device()):
        for sweep in range(len(draws.done)):
            times = spread_times(numpy_generator(seed, Stream.EVALUATE, sweep), len(draws.n_scored))
            for number in draws.missing(shard, sweep):
                rows = draws.rows(number)
                tokens = torch.from_numpy(read(rows).astype(np.int64))
                valid = tokens != model.vocab.pad
                label = None if labels is None else torch.from_numpy(labels[rows])
                batch = Batch(tokens, None if valid.all() or not tells_padding else valid, label=label).to(device)
                shape = (len(rows), measure.n_uniforms, tokens.shape[1])
                uniforms = row_uniforms(seed, Stream.EVALUATE, sweep, 1, rows=rows, n=math.prod(shape[1:]))
                noise = Noise(torch.from_numpy(times[rows]), torch.from_numpy(uniforms.reshape(shape))).to(device)
                n_scored = model.vocab.is_letter(tokens).sum(1)
                draws.put(sweep, number, measure.draw(batch, noise).cpu().numpy(), n_scored.numpy())
                progress(len(rows))


def combine(draws: Draws, measure: Measure, *, seed: int, parts: Mapping[str, np.ndarray] = NO_PARTS) -> Estimate:
    """The figure that complete draws give.

    Args:
        parts: numbers of the rows of each part that gets a figure of its own, by name; more than `MOST_PARTS` get none.

    Raises:
        InputError: nothing is scored.
    """

    def figure(rows: slice | np.ndarray) -> Estimate:
        generator = numpy_generator(seed, Stream.BOOTSTRAP)
        return estimate(draws.nats[:, rows], draws.n_scored[rows], generator=generator, meaning=measure.meaning)

    result = figure(slice(None))
    if 1 < len(parts) <= MOST_PARTS:
        scored = {name: rows for name, rows in parts.items() if draws.n_scored[rows].any()}
        result = result._replace(parts={name: figure(rows) for name, rows in scored.items()})
    if not measure.by_batch:
        return result
    generator = numpy_generator(seed, Stream.BOOTSTRAP, 2)
    return with_batch_perplexity(result, draws.nats, draws.n_scored, draws.batch_size, generator=generator)
