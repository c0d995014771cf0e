"""`dnadiff sample`: sequences from a trained model, DNA as FASTA, text as JSON lines."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from dnadiff import checkpoint, config
from dnadiff.data.text.tokenizer import kept_tokenizer
from dnadiff.errors import InputError, counted
from dnadiff.files import sha256, unfinished
from dnadiff.hub.shipped import called
from dnadiff.inference.counted import Counted
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.draws import Shard
from dnadiff.inference.evaluate import ALL
from dnadiff.inference.parts import Parts
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
    """Draw and write; with `stats`, say what it took.

    Args:
        out: file, beside which what is drawn is kept, so that the same command goes on where it was killed; `-` for
            standard output.
    """
    folder = find_checkpoint(path)
    kept_tokenizer(folder)  # whose extra is missed before anything is drawn
    model = checkpoint.load(folder)
    of_run, network = config_of(path), Counted(model.network)
    seen = min(settings.length, settings.context or settings.length)
    warn_if_untried(seen, config.read(TrainConfig, Path(of_run)).data.length if of_run else None)
    with joined(WORK_PATIENCE) as here:
        kept = None if out == "-" else _kept(settings, folder, Path(out).expanduser(), here)
        tokens = draw(model, settings, network, here, kept)
        if not here.is_first:
            return
        if kept is None:
            write(tokens, model, settings, source=folder, to=sys.stdout)
        else:
            with unfinished(Path(out).expanduser()) as temporary:
                write(tokens, model, settings, source=folder, to=temporary)
            kept.remove()
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
    return f"{called(find_checkpoint(path))}: {n}, each of length {settings.length}, {settings.sampler!r}"


def _kept(settings: SampleSettings, folder: Path, out: Path, here: World) -> Parts:
    """What is drawn of a file, by batches; each process draws a share."""
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file to write")
    claim = {
        "model": sha256(folder / checkpoint.MANIFEST), "dnadiff": version("dnadiff"),
        "settings": settings.model_dump(mode="json"),
    }  # fmt: skip
    return Parts.beside(out, here.size, claim, _n_batches(settings))


def _n_batches(settings: SampleSettings) -> int:
    return -(-settings.n // settings.batch_size)


def draw(
    model: DiffusionModel,
    settings: SampleSettings,
    network: Counted | None = None,
    here: World = ALONE,
    kept: Parts | None = None,
) -> np.ndarray:
    """(n, length) tokens, with a progress bar on a terminal.

    Args:
        network: in place of the model's own; with several processes it counts the runs of all.
        here: the processes that share the batches.
        kept: where what is drawn is kept, and what was drawn before is found.
    """
    n_batches, shard = _n_batches(settings), ALL.part(here)
    steps = settings.around(model.config.objective.sampler(settings.sampler)).n_steps(settings.length)
    with (
        progress_bar("sampling", len(range(here.rank, n_batches, here.size)) * steps) as advance,
        borrowed(model, best_device()),  # once for all batches
    ):

        def batch(number: int) -> np.ndarray:
            return sample(
                model, settings.n, settings.length, settings.sampler,
                label=settings.label, guide=settings.guide, around=settings.around, ban=settings.ban, network=network,
                seed=settings.seed, batch_size=settings.batch_size, shard=Shard(number + 1, n_batches),
                progress=advance,
            )  # fmt: skip

        if kept is None:
            mine = [batch(number) for number in range(here.rank, n_batches, here.size)]
        else:
            mine = _drawn(kept, shard, settings.length, batch, lambda n: advance(n * steps))
    if network is not None:
        network.n_calls, network.n_rows = map(sum, zip(*gathered((network.n_calls, network.n_rows)), strict=True))
    parts = gathered(mine)
    tokens = [parts[number % here.size][number // here.size] for number in range(n_batches)]
    return np.concatenate([*tokens, np.empty((0, settings.length), np.int64)])


def _drawn(
    kept: Parts, shard: Shard, length: int, batch: Callable[[int], np.ndarray], found: Callable[[int], None]
) -> list[np.ndarray]:
    """Batches of a shard, of which those that are not kept are drawn; how many are is told first."""
    own = kept.files[shard.number - 1]
    found(own.count())
    kept.fill(shard, lambda number: batch(number).astype("<i8").tobytes(), lambda _: None)
    return [np.frombuffer(record, "<i8").reshape(-1, length) for record in own.records()]
