"""Filling the gaps of sequences: what is given never changes, and hard constraints hold by construction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from dnadiff import dna
from dnadiff.batch import Batch
from dnadiff.diffusion.constraints.constrained import Constrained, check_sampler
from dnadiff.diffusion.constraints.joint import Lattices
from dnadiff.diffusion.constraints.lattice import Lattice
from dnadiff.diffusion.contracts import PosteriorDenoiser
from dnadiff.diffusion.samplers import Sampler
from dnadiff.diffusion.samplers.drawing import Sharpened
from dnadiff.diffusion.uniforms import RowUniforms
from dnadiff.inference.design import Constraints, Site
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.sample import spared
from dnadiff.model import DiffusionModel
from dnadiff.rng import Stream, numpy_generator
from dnadiff.vocab import DNA

PAD_TO = 64
"""Rows are padded to multiples of this, so that similar lengths share a batch and no row depends on its neighbours."""
MOST_TOGETHER = 1 << 24  # states of the lattices of a batch, which take some 40 bytes each


@dataclass(frozen=True)
class Gapped:
    """A sequence with gaps.

    Attributes:
        tokens: (length,) uint8, the mask where a letter is wanted.
        lattice: gives the ways to fill it; None where every way is allowed.
    """

    tokens: NDArray[np.uint8]
    lattice: Callable[[], Lattice] | None = None


class _Drawn(NamedTuple):
    tokens: NDArray[np.uint8]  # (length,)
    log_importance: float


@dataclass(frozen=True)
class _Row:
    number: int  # among all rows of this seed
    gapped: Gapped

    @property
    def padded_length(self) -> int:
        return -(-len(self.gapped.tokens) // PAD_TO) * PAD_TO


def infill(
    model: DiffusionModel,
    sequences: Sequence[Gapped],
    sampler: Sampler,
    *,
    n: int = 1,
    candidates: int = 1,
    seed: int = 0,
    batch_size: int = 16,
    progress: Callable[[int], None] = lambda _: None,
) -> list[NDArray[np.uint8]]:
    """Fill every mask of some sequences, several times over.

    Args:
        sequences: either all of them with a lattice or none.
        n: fillings of each.
        candidates: drawn for each filling under constraints, of which one is kept by importance: the more, the nearer
            to the law of the sampler given the constraints.
        batch_size: rows at a time; does not change what is drawn, but for rounding inside the network.
        progress: called with the number of rows that are done after each batch.

    Returns:
        For each sequence (n, length) uint8 tokens.

    Raises:
        InputError: the sampler takes another denoiser than the model gives, cannot keep constraints, or cannot fill
            gaps.
    """
    m = candidates if any(gapped.lattice for gapped in sequences) else 1
    rows = [_Row(at + len(sequences) * trial, gapped) for at, gapped in enumerate(sequences) for trial in range(n * m)]
    drawn: dict[int, _Drawn] = {}
    with borrowed(model, best_device()):
        for batch, lattices in _batches(rows, batch_size):
            found = _fill(model, batch, lattices, sampler, seed, weigh=m > 1)
            drawn |= zip((row.number for row in batch), found, strict=True)
            progress(len(batch))
    filled = []
    for at, gapped in enumerate(sequences):
        trials = [drawn[at + len(sequences) * trial] for trial in range(n * m)]
        kept = [_choose(trials[copy * m : (copy + 1) * m], seed, at, copy) for copy in range(n)]
        filled.append(np.array(kept, dtype=np.uint8).reshape(n, len(gapped.tokens)))
    return filled


def fill_sites(
    model: DiffusionModel,
    sites: Sequence[Site],
    constraints: Constraints,
    sampler: Sampler,
    *,
    n: int = 1,
    candidates: int = 1,
    seed: int = 0,
    batch_size: int = 16,
) -> list[list[str]]:
    """For each site the texts of `n` fillings of its region, with a progress bar where somebody looks; see `infill`.

    Call `constraints.check` before, so that what cannot be kept is found before anything is drawn.
    """
    is_open = constraints.asks_nothing and all(site.is_open for site in sites)
    gapped = [_gapped(site, None if is_open else constraints) for site in sites]
    with progress_bar("filling", len(sites) * n * (1 if is_open else candidates)) as advance:
        drawn = infill(
            model, gapped, sampler, n=n, candidates=candidates, seed=seed, batch_size=batch_size, progress=advance
        )
    return [[site.filled(tokens) for tokens in rows] for site, rows in zip(sites, drawn, strict=True)]


def _gapped(site: Site, constraints: Constraints | None) -> Gapped:
    tokens = np.where(site.free, np.uint8(DNA.mask), dna.encode(site.text, where=site.name))
    return Gapped(tokens, None if constraints is None else partial(constraints.lattice, site))


def _choose(trials: Sequence[_Drawn], seed: int, *where: int) -> NDArray[np.uint8]:
    """One of the fillings, in proportion to its importance."""
    log_importance = np.array([trial.log_importance for trial in trials])
    shares = np.exp(log_importance - log_importance.max())
    chosen = numpy_generator(seed, Stream.CONSTRAINED, *where).choice(len(trials), p=shares / shares.sum())
    return trials[chosen].tokens


def _batches(rows: Sequence[_Row], batch_size: int) -> Iterator[tuple[list[_Row], list[Lattice]]]:
    """Rows of one padded length each, and their lattices if they have any; fewer rows where the lattices are large."""
    for _, group in groupby(sorted(rows, key=lambda row: row.padded_length), key=lambda row: row.padded_length):
        alike = list(group)
        for start in range(0, len(alike), batch_size):
            batch = alike[start : start + batch_size]
            lattices = _lattices(batch)
            most = min([MOST_TOGETHER // max(lattice.n_states, 1) for lattice in lattices], default=batch_size)
            for at in range(0, len(batch), max(most, 1)):
                part = slice(at, at + max(most, 1))
                yield batch[part], lattices[part]


@torch.no_grad()
def _fill(
    model: DiffusionModel,
    rows: Sequence[_Row],
    lattices: Sequence[Lattice],
    sampler: Sampler,
    seed: int,
    *,
    weigh: bool,
) -> list[_Drawn]:
    chosen, device, vocab = model.config.objective.sampler(sampler), best_device(), model.vocab
    tokens = torch.full((len(rows), rows[0].padded_length), vocab.pad)
    for into, row in zip(tokens, rows, strict=True):
        into[: len(row.gapped.tokens)] = torch.from_numpy(row.gapped.tokens)
    state = Batch(tokens, valid=tokens != vocab.pad).to(device)
    denoiser = spared(model.denoiser(), chosen.takes)
    if lattices:
        check_sampler(chosen, weigh=weigh)
        assert isinstance(chosen, Sharpened)
        streams = [numpy_generator(seed, Stream.CONSTRAINED, row.number) for row in rows]
        side_by_side = Lattices(lattices, vocab.n_letters)
        posterior = cast(PosteriorDenoiser, denoiser)  # as those samplers take it
        denoiser = Constrained(posterior, side_by_side, vocab, streams, sharpen=chosen.sharpen, weigh=weigh)
    uniforms = RowUniforms(seed, [row.number for row in rows], device)
    for after in chosen.sample(denoiser, state, model.schedule, vocab, uniforms=uniforms):
        tokens = after.tokens
    done = tokens.cpu().numpy().astype(np.uint8)
    importance = denoiser.log_importance.tolist() if isinstance(denoiser, Constrained) else [0.0] * len(rows)
    return [_Drawn(into[: len(row.gapped.tokens)], log) for into, row, log in zip(done, rows, importance, strict=True)]


def _lattices(rows: Sequence[_Row]) -> list[Lattice]:
    """Those of the rows, each made once."""
    made = {id(row.gapped): row.gapped.lattice for row in rows if row.gapped.lattice is not None}
    compiled = {gapped: lattice() for gapped, lattice in made.items()}
    return [compiled[id(row.gapped)] for row in rows if row.gapped.lattice is not None]
