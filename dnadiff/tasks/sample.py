"""`dnadiff sample`: sequences from a trained model, DNA as FASTA, text as JSON lines."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dnadiff import checkpoint, config
from dnadiff.errors import InputError, counted
from dnadiff.files import unfinished
from dnadiff.inference.counted import Counted
from dnadiff.inference.evaluate import ALL
from dnadiff.inference.progress import progress_bar
from dnadiff.inference.sample import sample, warn_if_untried
from dnadiff.model import DiffusionModel
from dnadiff.run import config_of, find_checkpoint
from dnadiff.tasks.settings import SampleSettings, TrainConfig
from dnadiff.tasks.text_levels import unigram_entropy
from dnadiff.tasks.written import write
from dnadiff.world import ALONE, WORK_PATIENCE, World, gathered, joined

log = logging.getLogger("dnadiff")


def settings_of(run: Path, words: Sequence[str], flags: dict[str, Any]) -> SampleSettings:
    """Sampling settings: those of the run that the model comes from, changed by words (with or without `sample.`)."""
    preset = config_of(run)
    start = config.read(TrainConfig, Path(preset)).sample if preset else SampleSettings()
    own = [word.removeprefix("sample.") for word in words]
    return config.resolve(SampleSettings, None, own, **{**start.model_dump(), **_given(flags)})


def _given(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if value is not None}


def run(settings: SampleSettings, path: Path, out: str, *, stats: bool = False) -> None:
    """Draw and write; `-` writes to standard output. With `stats`, say what it took."""
    folder = find_checkpoint(path)
    model = checkpoint.load(folder)
    of_run, network = config_of(path), Counted(model.network)
    seen = min(settings.length, settings.context or settings.length)
    warn_if_untried(seen, config.read(TrainConfig, Path(of_run)).data.length if of_run else None)
    with joined(WORK_PATIENCE) as here:
        if not here.is_first:
            draw(model, settings, network, here)
            return
        if out == "-":
            tokens = draw(model, settings, network, here)
            write(tokens, model, settings, source=folder, to=sys.stdout)
        else:
            if Path(out).is_dir():
                raise InputError(f"{out}: is a folder; name a file to write")
            with unfinished(Path(out)) as temporary:
                temporary.touch()  # a place that cannot be written is found out before anything is drawn
                tokens = draw(model, settings, network, here)
                write(tokens, model, settings, source=folder, to=temporary)
            log.info("%s: %s, each of length %d", out, counted(settings.n, "sequence"), settings.length)
    if stats and len(tokens):
        log.info(describe(network, tokens))


def describe(network: Counted, tokens: np.ndarray) -> str:
    """What drawing took, and how varied the letters of a sequence are."""
    return (
        f"{network.n_calls:,} runs of the network on {network.n_rows:,} rows; "
        f"letters of a sequence have {unigram_entropy(tokens) / math.log(2):.3f} bits; "
        f"network in {str(network.dtype).removeprefix('torch.')}, letters drawn in float64"
    )


def dry_run(settings: SampleSettings, path: Path) -> str:
    """What `run` would draw."""
    n = counted(settings.n, "sequence")
    return f"{find_checkpoint(path)}: {n}, each of length {settings.length}, {settings.sampler!r}"


def draw(
    model: DiffusionModel, settings: SampleSettings, network: Counted | None = None, here: World = ALONE
) -> np.ndarray:
    """(n, length) tokens, with a progress bar on a terminal.

    Args:
        network: in place of the model's own; with several processes it counts the runs of all.
        here: the processes that share the batches.
    """
    batch = np.arange(settings.n) // settings.batch_size
    batches = len(np.unique(batch)[here.rank :: here.size])
    steps = settings.around(model.config.objective.sampler(settings.sampler)).n_steps(settings.length)
    with progress_bar("sampling", batches * steps) as advance:
        mine = sample(
            model, settings.n, settings.length, settings.sampler,
            label=settings.label, guide=settings.guide, around=settings.around, network=network,
            seed=settings.seed, batch_size=settings.batch_size, shard=ALL.part(here), progress=advance,
        )  # fmt: skip
    if here.size == 1:
        return mine
    if network is not None:
        network.n_calls, network.n_rows = map(sum, zip(*gathered((network.n_calls, network.n_rows)), strict=True))
    tokens = np.empty((settings.n, settings.length), np.int64)
    tokens[np.argsort(batch % here.size, kind="stable")] = np.concatenate(gathered(mine))
    return tokens
