"""`dnadiff judge`: generative perplexity, that of samples under another model, with all that it depends on.

Repetition lowers it, and so do low temperatures and coarse arithmetic (Zheng et al. 2024), so that it is never printed
alone: beside it stand the sampler, its steps, the precision, and the entropy of the tokens within a sample.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import typer

from dnadiff import checkpoint
from dnadiff.data.text.tokenizer import kept_tokenizer
from dnadiff.errors import InputError
from dnadiff.files import write_text
from dnadiff.inference.estimate import Interval, Meaning, estimate
from dnadiff.inference.judge import Judge, Judged, open_judge
from dnadiff.rng import Stream, numpy_generator
from dnadiff.run import find_checkpoint
from dnadiff.tasks.sample import draw
from dnadiff.tasks.settings import SampleSettings
from dnadiff.tasks.text_levels import unigram_entropy
from dnadiff.tasks.written import origin


def run(settings: SampleSettings, path: Path, by: str, out: str | None) -> None:
    """Draw, judge, and print.

    Args:
        by: run folder of an autoregressive model, or name of a published one.
        out: JSON file to write; `-` prints it.

    Raises:
        InputError: no model of text, no sample, or no judge.
    """
    folder = find_checkpoint(path)
    tokenizer = kept_tokenizer(folder)
    if tokenizer is None:
        raise InputError(f"{folder}: is no model of text, and only text has a judge; name a run of text")
    judge, model = open_judge(by, batch_size=settings.batch_size), checkpoint.load(folder)
    tokens = draw(model, settings)
    documents = [[text for text in tokenizer.documents(row) if text] for row in tokens.tolist()]
    about: dict[str, Any] = {
        **origin(model, settings, source=folder), "precision": "float32", "n": settings.n, "length": settings.length,
        "entropy": unigram_entropy(tokens), "judge": judge.name,
    }  # fmt: skip
    judged = _by_sample(judge, documents)
    perplexity = _perplexity(judged, seed=settings.seed)
    numbers = {"perplexity": perplexity._asdict(), "n_tokens": int(judged.n_tokens.sum()), **about}
    if out not in (None, "-"):
        write_text(Path(str(out)).expanduser(), json.dumps(numbers, indent=2))
    typer.echo(json.dumps(numbers, indent=2) if out == "-" else describe(numbers))


def dry_run(settings: SampleSettings, path: Path, by: str) -> str:
    """What `run` would draw and ask."""
    return f"{find_checkpoint(path)}: {settings.n} samples of length {settings.length}, judged by {by}"


def describe(numbers: dict[str, Any]) -> str:
    """The figure with all that it depends on."""
    figure = numbers["perplexity"]
    knobs = ", ".join(
        f"{name} {numbers[name]}" for name in numbers if name not in ("perplexity", "n_tokens", "judge", "entropy")
    )
    most = math.log(numbers["length"])
    return "\n".join([
        f"generative perplexity under {numbers['judge']}: {figure['value']:.2f}  "
        f"[{figure['low']:.2f}, {figure['high']:.2f}], {numbers['n_tokens']:,} of its tokens",
        f"entropy of the tokens within a sample: {numbers['entropy']:.3f} nats of {most:.3f} at most",
        knobs,
    ])  # fmt: skip


def _by_sample(judge: Judge, documents: list[list[str]]) -> Judged:
    """Sums over the documents of each sample, which are judged apart."""
    texts = [text for sample in documents for text in sample]
    if not texts:
        raise InputError("the samples hold no text to judge; draw more (-n) or longer ones (--length)")
    judged = judge.score(texts)
    sample = np.repeat(np.arange(len(documents)), [len(each) for each in documents])
    nats, n_tokens = (np.bincount(sample, column, len(documents)) for column in judged)
    return Judged(nats, n_tokens.astype(np.int64))


def _perplexity(judged: Judged, *, seed: int) -> Interval:
    """exp of the mean nats per token, with a bootstrap over samples."""
    generator = numpy_generator(seed, Stream.BOOTSTRAP)
    return estimate(judged.nats[None], judged.n_tokens, generator=generator, meaning=Meaning.EXACT).perplexity
