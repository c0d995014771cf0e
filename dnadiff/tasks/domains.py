"""What the verbs say differently of DNA and of text: baselines, samples, and what samples are compared by."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnadiff.data.domains import Splits
from dnadiff.data.genome import GenomeSplits
from dnadiff.data.text.open import TextSplits
from dnadiff.data.window_set import WindowSet
from dnadiff.report.kmers import excess_js, gc_content, kmer_spectrum, shuffle_bases
from dnadiff.report.plots import draw_spectra
from dnadiff.rng import Stream, numpy_generator
from dnadiff.tasks import baselines, text_levels
from dnadiff.tasks.levels import Levels
from dnadiff.tasks.settings import TrainConfig

K = 4
MOST_REAL_WINDOWS = 5000  # whose spectrum is known to a thousandth


class Realism(NamedTuple):
    """How real samples look: facts for JSON, and a line that says them."""

    facts: dict[str, Any]
    text: str


def measure(settings: TrainConfig, data: Splits) -> Levels:
    """What figures on the scored split are read against."""
    match data:
        case GenomeSplits():
            return baselines.measure(settings, data)
        case TextSplits():
            return text_levels.measure(settings, data)


def compare(tokens: np.ndarray, data: Splits, settings: TrainConfig, plots: Path) -> Realism:
    """Samples (n, length) against real rows of the scored split; pictures go into a folder."""
    match data:
        case GenomeSplits():
            return _compare_kmers(tokens, data, settings, plots)
        case TextSplits():
            real = text_levels.real_rows(settings, data, len(tokens))
            entropies = {
                "entropy": text_levels.unigram_entropy(tokens),
                "real_entropy": text_levels.unigram_entropy(real),
            }
            return Realism(
                entropies,
                "entropy of the tokens within one {entropy:.3f} nats (real {real_entropy:.3f})".format(**entropies),
            )


def _compare_kmers(tokens: np.ndarray, data: GenomeSplits, settings: TrainConfig, plots: Path) -> Realism:
    """k-mers and GC of samples against real windows."""
    windows: WindowSet = data.sets()[settings.evaluate.split]
    length = min(settings.sample.length, windows.length)  # spectra of shorter sequences are noisier
    tokens = tokens[:, :length]
    generator = numpy_generator(settings.train.seed, Stream.BOOTSTRAP, 1)
    rows = np.sort(generator.permutation(len(windows))[:MOST_REAL_WINDOWS])
    real = [row[:length] for row in windows.rows(rows, epoch=None)]
    realism = excess_js(list(tokens), real, generator, k=K)
    chosen = [real[i] for i in generator.permutation(len(real))[: len(tokens)]]
    spectra = {
        "real": kmer_spectrum(real, K), "samples": kmer_spectrum(tokens, K),
        "shuffled": kmer_spectrum([shuffle_bases(row, generator) for row in chosen], K),
    }  # fmt: skip
    gc = {"real": gc_content(chosen), "samples": gc_content(tokens)}
    draw_spectra(plots / "kmers.png", spectra, gc, n=len(tokens), k=K)
    text = (
        f"{K}-mer distance to real windows {realism.samples:.4f} "
        f"(real to real {realism.floor:.4f}, shuffled {realism.shuffled:.4f})"
    )
    return Realism({"k": K, **realism._asdict()}, text)
