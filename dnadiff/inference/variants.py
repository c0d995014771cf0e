"""What a model says of variants: both alleles between the same flanks, and how much likelier one is than the other.

llr: the site is hidden, log p(alternative) - log p(reference), each base given all that is visible (as ESM-1v does for
proteins, Meier et al. 2021, and GPN for DNA, Benegas et al. 2023). One pass serves all alleles of one length.

bound: the difference of two bounds on log p of the site with its context given the rest (see `diffusion.likelihood`),
under common random numbers: masks are drawn over the longer allele with its context, N letters of which 1 to N are
hidden, and the shorter one, of M letters, takes their restriction, so that flanks are hidden alike. A restriction hides
k letters with probability (N + 1) / (N (M + 1)), the same for each k from 1 on, and the bound is the sum of the costs
at each k divided by k; hence the weight in `_hide_some`.

Rows that come to the same with their masks go through the network once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from dnadiff.data.fasta import Genome
from dnadiff.data.vcf import Variant
from dnadiff.diffusion.contracts import PosteriorDenoiser
from dnadiff.diffusion.noise import spread_times
from dnadiff.dna import reverse_complement
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.features import Strands, Tokens, features, padded
from dnadiff.inference.likelihood import in_any_order
from dnadiff.inference.measures import posterior
from dnadiff.model import DiffusionModel
from dnadiff.network import StrandSymmetric
from dnadiff.rng import Stream, numpy_generator
from dnadiff.vocab import DNA

Score = Literal["llr", "bound", "distance"]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_LETTERS = np.array(DNA.letters, np.uint8)


class Pair(NamedTuple):
    """Two alleles of a site between the same flanks.

    Attributes:
        left, right: (n,) tokens before and after the site.
        ref, alt: (n,) tokens of the alleles, letters all; either may be empty.
        place: numbers that random draws depend on, beside the seed.
    """

    left: Tokens
    ref: Tokens
    alt: Tokens
    right: Tokens
    place: tuple[int, ...] = ()

    def opposite(self) -> Pair:
        """The same on the other strand."""
        left, ref, alt, right = (reverse_complement(part) for part in self[:4])
        return Pair(right, ref, alt, left, self.place)

    def row(self, allele: Tokens) -> Tokens:
        """An allele with its flanks."""
        return np.concatenate([self.left, allele, self.right])


class Hidden(NamedTuple):
    """A row, which of its positions are hidden, and what that counts.

    Attributes:
        tokens: (length,) uint8, as they are.
        positions: (n,) that are hidden, letters all, ascending.
        weight: of the sum of log p of what is there.
        share: what networks that are told the time are told: the chance that a position is hidden.
        number: of the figure that it is part of.
    """

    tokens: Tokens
    positions: Ints
    weight: float
    share: float
    number: int

    def opposite(self) -> Hidden:
        """The same on the other strand."""
        positions = (len(self.tokens) - 1 - self.positions)[::-1]
        return self._replace(tokens=reverse_complement(self.tokens), positions=positions)


def pair(genome: Genome, variant: Variant, window: int) -> Pair:
    """A variant with as many bases on either side, fewer where its contig ends.

    Args:
        window: most bases of the longer allele with its flanks, 2 or more above those of the allele.
    """
    flank = (window - max(len(variant.ref), len(variant.alt))) // 2
    name, end = genome.index.names[variant.contig], variant.start + len(variant.ref)
    first, last = max(0, variant.start - flank), min(genome.contigs[name], end + flank)
    left, ref, right = np.split(genome.tokens(name, first, last), [variant.start - first, end - first])
    return Pair(left, ref, np.frombuffer(variant.alt, np.uint8), right, (variant.contig, variant.start))


def llr(
    model: DiffusionModel,
    pairs: Sequence[Pair],
    *,
    context: int | None = 0,
    strands: Strands = "both",
    batch_size: int = 64,
) -> Floats:
    """Log-likelihood ratios in nats, (n,): above 0 where the alternative is the likelier one.

    Args:
        context: bases on either side that are hidden and scored with the site; None for all.
        strands: both: the mean of what either strand gives, which strand-symmetric networks give at once.
        batch_size: rows through the network at a time; does not change the figures beyond rounding.

    Raises:
        InputError: the model knows no hidden letters given all others.
    """
    hidden = (one for number, pair in enumerate(pairs) for one in _hide_all(pair, context, number))
    return _answer(model, posterior(model), hidden, len(pairs), strands, batch_size)


def bound(
    model: DiffusionModel,
    pairs: Sequence[Pair],
    *,
    draws: int,
    context: int | None = None,
    strands: Strands = "both",
    seed: int = 0,
    batch_size: int = 64,
) -> tuple[Floats, Floats]:
    """Differences of bounds on log p in nats, (n,), and their standard errors; other arguments as for `llr`.

    Args:
        draws: of masks for each pair, the same for both alleles; stratified, which makes the error too large.

    Raises:
        InputError: the model does not reveal letters in random order.
    """
    hidden = (
        one for number, pair in enumerate(pairs) for one in _hide_some(pair, context, draws, seed, number * draws)
    )
    found = _answer(model, in_any_order(model), hidden, len(pairs) * draws, strands, batch_size)
    drawn = found.reshape(len(pairs), draws)
    error = drawn.std(1, ddof=1) / draws**0.5 if draws > 1 else np.full(len(pairs), np.nan)
    return drawn.mean(1), error


def distance(
    model: DiffusionModel,
    pairs: Sequence[Pair],
    *,
    context: int | None = None,
    strands: Strands = "both",
    batch_size: int = 64,
) -> Floats:
    """Euclidean distances of the alleles' mean features, (n,); other arguments as for `llr`.

    Args:
        context: bases on either side whose features are averaged with the site's, at least 1; None for all.

    Raises:
        InputError: the network reads no letters.
    """
    rows = [pair.row(allele) for pair in pairs for allele in (pair.ref, pair.alt)]
    near = [_near(pair, allele, context, 1) for pair in pairs for allele in (pair.ref, pair.alt)]
    means: list[Floats] = []
    with borrowed(model, device := best_device()):
        for at in range(0, len(rows), batch_size):
            batch = padded(rows[at : at + batch_size], model.vocab).to(device)
            found = features(model, batch, strands=strands).double()
            means += [row[part].mean(0).cpu().numpy() for row, part in zip(found, near[at:], strict=False)]
    return np.array([np.linalg.norm(alt - ref) for ref, alt in zip(means[::2], means[1::2], strict=True)])


def _near(pair: Pair, allele: Tokens, context: int | None, least: int = 0) -> slice:
    """The positions of an allele and its context, at least so much, in its row."""
    start, end = len(pair.left), len(pair.left) + len(allele)
    if context is None:
        return slice(0, end + len(pair.right))
    around = max(context, least)
    return slice(max(0, start - around), min(end + around, end + len(pair.right)))


def _hide_all(pair: Pair, context: int | None, number: int) -> Iterator[Hidden]:
    """The letters of each allele and its context."""
    for sign, allele in ((-1.0, pair.ref), (1.0, pair.alt)):
        row = pair.row(allele)
        letters = np.flatnonzero(np.isin(row, _LETTERS))
        positions = np.intersect1d(np.arange(len(row))[_near(pair, allele, context)], letters)
        yield Hidden(row, positions, sign, len(positions) / max(1, len(letters)), number)


def _hide_some(pair: Pair, context: int | None, draws: int, seed: int, first: int) -> Iterator[Hidden]:
    """Draws of masks, the same for both alleles; figures are numbered from `first`."""
    longest = max(len(pair.ref), len(pair.alt))
    left, right = (np.flatnonzero(np.isin(flank, _LETTERS)) for flank in (pair.left, pair.right))
    if context is not None:
        left, right = left[left >= len(pair.left) - context], right[right < context]
    n = len(left) + longest + len(right)
    generator = numpy_generator(seed, Stream.EVALUATE, *pair.place)
    n_hidden = 1 + np.floor(spread_times(generator, draws) * n)
    uniforms = generator.random((draws, n))
    hidden = uniforms.argsort(1).argsort(1) < n_hidden[:, None]
    for sign, allele in ((-1.0, pair.ref), (1.0, pair.alt)):
        row, start, end = pair.row(allele), len(pair.left), len(pair.left) + len(allele)
        places = np.concatenate([left, np.arange(start, end), end + right])
        kept = np.delete(np.arange(n), slice(len(left) + len(allele), len(left) + longest))
        for number, (mask, since) in enumerate(zip(hidden[:, kept], uniforms[:, kept], strict=True), start=first):
            if mask.any():
                weight = n / (n + 1) * (len(kept) + 1) / mask.sum()
                yield Hidden(row, places[mask], sign * weight, float(since[mask].max()), number)


@torch.no_grad()
def _answer(
    model: DiffusionModel,
    denoiser: PosteriorDenoiser,
    hidden: Iterator[Hidden],
    n: int,
    strands: Strands,
    batch_size: int,
) -> Floats:
    """Sums of weighted log p by number, (n,)."""
    found = np.zeros(n)
    rows: dict[tuple[bytes, float], list[Hidden]] = {}
    both = strands == "both" and not isinstance(model.network, StrandSymmetric)
    for one in hidden:
        for asked in (one, one.opposite()) if both else (one,):
            if len(one.positions):
                share = one.share if denoiser.time_conditioned else 0.0
                rows.setdefault((_masked(asked, model), share), []).append(asked)
    order = sorted(rows, key=lambda row: len(row[0]))  # rows of one length need no padding
    with borrowed(model, device := best_device()):
        for some in (order[at : at + batch_size] for at in range(0, len(order), batch_size)):
            batch = padded([np.frombuffer(tokens, np.uint8) for tokens, _ in some], model.vocab).to(device)
            wanted = batch.tokens == model.vocab.mask
            t = torch.tensor([share for _, share in some], device=device) if denoiser.time_conditioned else None
            table = denoiser(batch, wanted, t).double().cpu().numpy()  # (n hidden, n_letters)
            ends = wanted.sum(1).cumsum(0).tolist()
            for row, start, end in zip(some, [0, *ends], ends, strict=False):
                for asked in rows[row]:
                    letters = np.searchsorted(_LETTERS, asked.tokens[asked.positions])
                    nats = table[start:end][np.arange(end - start), letters].sum()
                    found[asked.number] += asked.weight * nats
    return found / (2 if both else 1)


def _masked(hidden: Hidden, model: DiffusionModel) -> bytes:
    tokens = hidden.tokens.copy()
    tokens[hidden.positions] = model.vocab.mask
    return tokens.tobytes()
