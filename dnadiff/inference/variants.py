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
from dnadiff.data.markov import LETTER_INDEX
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
    """A row in which positions are hidden, what may stand there, and what that counts.

    Attributes:
        masked: (length,) uint8, the mask where it is hidden.
        letters: (n,) whose log p is asked at the hidden positions, in their order.
        weight: of the sum of log p.
        share: what networks that are told the time are told: the chance that a position is hidden.
        number: of the figure that it is part of.
    """

    masked: Tokens
    letters: Tokens
    weight: float
    share: float
    number: int

    @classmethod
    def of(cls, row: Tokens, positions: Ints, weight: float, share: float, number: int) -> Hidden:
        """What stands at positions, letters all, ascending, is hidden and asked."""
        masked = row.copy()
        masked[positions] = DNA.mask
        return cls(masked, row[positions], weight, share, number)

    def opposite(self) -> Hidden:
        """The same on the other strand."""
        return self._replace(masked=reverse_complement(self.masked), letters=reverse_complement(self.letters))


def pairs_of(genome: Genome, variants: Sequence[Variant], window: int) -> list[Pair]:
    """Variants with as many bases on either side, fewer where their contigs end; those of one length are read at once.

    Args:
        window: most bases of the longer allele with its flanks, 2 or more above those of the allele.
    """
    places = [(each.contig, each.start, len(each.ref), len(each.alt)) for each in variants]
    contig, start, n_ref, n_alt = np.array(places, np.int64).reshape(-1, 4).T
    flank = (window - np.maximum(n_ref, n_alt)) // 2
    first = np.maximum(0, start - flank)
    lengths = np.minimum(genome.index.lengths[contig], start + n_ref + flank) - first
    found: dict[int, Pair] = {}
    for length in np.unique(lengths).tolist():
        same = np.flatnonzero(lengths == length)
        rows = genome.read(contig[same], first[same], length)
        for number, row, at in zip(same.tolist(), rows, (start - first)[same].tolist(), strict=True):
            variant = variants[number]
            end = at + len(variant.ref)
            alt, place = np.frombuffer(variant.alt, np.uint8), (variant.contig, variant.start)
            found[number] = Pair(row[:at], row[at:end], alt, row[end:], place)
    return [found[number] for number in range(len(variants))]


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
        row, near = pair.row(allele), _near(pair, allele, context)
        is_letter = LETTER_INDEX[row] >= 0
        positions = near.start + np.flatnonzero(is_letter[near])
        yield Hidden.of(row, positions, sign, len(positions) / max(1, int(is_letter.sum())), number)


def _hide_some(pair: Pair, context: int | None, draws: int, seed: int, first: int) -> Iterator[Hidden]:
    """Draws of masks, the same for both alleles; figures are numbered from `first`."""
    longest = max(len(pair.ref), len(pair.alt))
    left, right = (np.flatnonzero(LETTER_INDEX[flank] >= 0) for flank in (pair.left, pair.right))
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
                yield Hidden.of(row, places[mask], sign * weight, float(since[mask].max()), number)


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
            if len(one.letters):
                share = one.share if denoiser.time_conditioned else 0.0
                rows.setdefault((asked.masked.tobytes(), share), []).append(asked)
    order = sorted(rows, key=lambda row: len(row[0]))  # rows of one length need no padding
    with borrowed(model, device := best_device()):
        for some in (order[at : at + batch_size] for at in range(0, len(order), batch_size)):
            batch = padded([rows[row][0].masked for row in some], model.vocab).to(device)
            wanted = batch.tokens == model.vocab.mask
            t = torch.tensor([share for _, share in some], device=device) if denoiser.time_conditioned else None
            table = denoiser(batch, wanted, t).double().cpu().numpy()  # (n hidden, n_letters)
            _add(found, table, [rows[row] for row in some])
    return found / (2 if both else 1)


def _add(found: Floats, table: Floats, asked: Sequence[Sequence[Hidden]]) -> None:
    """Add weighted log p of a batch to the figures that they are part of.

    Args:
        table: (n hidden, n_letters) log p at the hidden positions of all rows.
        asked: what is asked of each row, at least one thing; all ask as many letters.
    """
    each = [one for row in asked for one in row]
    sizes = np.array([len(one.letters) for one in each])
    first_of_row = np.cumsum([0, *(len(row[0].letters) for row in asked[:-1])])
    begins = np.cumsum(sizes) - sizes  # of each in the letters of all
    shift = np.repeat(first_of_row, [len(row) for row in asked]) - begins  # from there into the table
    letters = LETTER_INDEX[np.concatenate([one.letters for one in each])]
    nats = np.add.reduceat(table[np.arange(len(letters)) + np.repeat(shift, sizes), letters], begins)
    np.add.at(found, [one.number for one in each], nats * [one.weight for one in each])
