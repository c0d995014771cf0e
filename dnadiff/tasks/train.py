"""`dnadiff train` and `dnadiff finetune`: data, model, steps, then the figure, samples and pictures of the result."""

from __future__ import annotations

import json
import logging
import math
import resource
import sys
import time
from contextlib import ExitStack
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from dnadiff import checkpoint, config
from dnadiff.batch import Batch
from dnadiff.data.domains import Splits, open_data
from dnadiff.diffusion.noise import Noise
from dnadiff.errors import InputError, counted
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models.kernels import use_kernels
from dnadiff.run import RunFolder, find_checkpoint, origin
from dnadiff.tasks.classes import told
from dnadiff.tasks.machine import machine, versions
from dnadiff.tasks.plan import kept_per_window, plan
from dnadiff.tasks.progress import logged
from dnadiff.tasks.settings import TrainConfig, require_same_network, require_same_vocab
from dnadiff.tasks.summary import summarise
from dnadiff.training.fit import fit
from dnadiff.training.loggers import require_loggers
from dnadiff.training.metrics import read_metrics
from dnadiff.training.steps import StepDataset
from dnadiff.vocab import Vocab
from dnadiff.world import STEP_PATIENCE, World, gathered, joined

log = logging.getLogger("dnadiff")
SAFE = (  # settings that leave what is trained as it is, but for the last digits
    "evaluate", "sample", "markov_order", "assumptions", "kernels", "train.micro_batch", "train.recompute",
    "train.workers", "train.read_timeout", "train.log_every", "train.validate_every", "train.checkpoint_every",
    "train.keep", "train.keep_going", "train.on_nan", "train.patience",
)  # fmt: skip
MOST_EPOCHS = 100  # beyond which a small set is learned by heart
MOST_TIMED_BASES = 8192  # of a dry run: a second or two, and little memory, for the published sizes


def run(settings: TrainConfig, out: Path, *, force: bool = False) -> Path:
    """Train, or go on with what `out` holds, and summarise; returns `out`.

    Args:
        force: go on with a run that was begun with other settings, if those are safe to change.

    Raises:
        InputError: bad settings or data, or `out` is in use, cannot be written, or holds another run.
        ResourceError: the disk is full.
    """
    require_loggers(settings.train.loggers)
    folder = RunFolder(out)
    data = open_data(settings.data, seed=settings.train.seed)
    require_windows(data)
    _warn_of_repeats(settings, data)
    settings = told(settings, data.labels)
    with joined(STEP_PATIENCE) as here, ExitStack() as held:
        _require_same_everywhere(settings, data)
        if here.is_first:
            held.enter_context(folder.locked())
            held.enter_context(logged(out / "log.txt"))
            folder.claim(settings, safe=SAFE, force=force)
            _require_same_data(folder.facts().get("data"), data, out)
        model = build(settings, data.vocab)
        if here.is_first:
            _begin(settings, data, model, folder, here)
        fit(
            model, data.train, data.valid, folder,
            optim=settings.optim, train=settings.train, data_fingerprint=data.fingerprint,
            letter=data.letter, files=data.files, here=here,
        )  # fmt: skip
        if here.is_first:
            folder.add_to_manifest(trained=spent(folder, settings))
        summarise(settings, data, folder, here)
    return out


def spent(folder: RunFolder, settings: TrainConfig) -> dict[str, float]:
    """The letters that training has read so far, and its hours by the run's own clock, without interruptions."""
    rows, per_step = read_metrics(folder.metrics), settings.train.batch_size * settings.data.length
    steps = [0, *(int(row["step"]) for row in rows)]
    rates = [max(1, int(row["tokens_per_second"])) for row in rows]
    seconds = sum((end - start) * per_step / rate for (start, end), rate in zip(pairwise(steps), rates, strict=True))
    return {"letters": steps[-1] * per_step, "hours": round(seconds / 3600, 2)}


def dry_run(settings: TrainConfig) -> dict[str, Any]:
    """What `run` would do, from one timed step on real rows; writes nothing but the cache."""
    data = open_data(settings.data, seed=settings.train.seed)
    require_windows(data)
    _warn_of_repeats(settings, data)
    settings = told(settings, data.labels)
    model = build(settings, data.vocab)
    size, n_uniforms = settings.train.batch_size, model.objective.n_uniforms
    steps = StepDataset(data.train, seed=settings.train.seed, batch_size=size, n_uniforms=n_uniforms)
    rows = min(settings.train.micro_batch or settings.train.batch_size, settings.train.batch_size)
    share = min(1.0, MOST_TIMED_BASES / (rows * settings.data.length))  # of a micro-batch, timed and scaled up
    memory_before = _peak_memory()
    seconds = min(_time_of_step(model, steps, step, rows, share) for step in range(2)) / share
    seconds *= settings.train.batch_size / rows
    memory = (_peak_memory() - memory_before) / share + 16 * model.n_parameters()  # weights, gradient, two moments
    return {
        "parameters": model.n_parameters(),
        "windows": {name: len(rows) for name, rows in data.sets().items()},
        "steps": settings.train.max_steps,
        f"{data.letter}s_per_step": settings.train.batch_size * settings.data.length,
        "epochs": float(f"{_epochs(settings, data):.3g}"),
        "seconds_per_step": round(seconds, 2),
        "time_of_training_on_this_cpu": str(timedelta(seconds=round(seconds * settings.train.max_steps))),
        "memory_mib": round(memory / 2**20),
        "plan": plan(settings, model.n_parameters(), kept_per_window(model, settings)),
    }


def build(settings: TrainConfig, vocab: Vocab) -> DiffusionModel:
    """The model to train: random weights from the seed, or those of `init`.

    Raises:
        InputError: `init` holds a model of another shape or vocabulary.
    """
    torch.manual_seed(settings.train.seed)
    model_config = ModelConfig(model=settings.model, objective=settings.objective, schedule=settings.schedule)
    model = DiffusionModel(model_config, vocab)
    use_kernels(model, settings.kernels)
    if settings.init != "none":
        source = find_checkpoint(Path(settings.init).expanduser())
        checkpoint.verify(source)
        require_same_vocab(checkpoint.read_vocab(source), vocab, where=source)
        require_same_network(settings.init, settings.model)
        checkpoint.load_tensors(model, checkpoint.read_tensors(source / checkpoint.WEIGHTS), where=str(source))
    return model


def require_windows(data: Splits) -> None:
    """Every split must hold something to train on, to choose by, and to report."""
    empty = [name for name, rows in data.sets().items() if not len(rows)]
    if empty:
        raise InputError(
            f"{data.source}: no window in {', '.join(empty)}; look at `dnadiff windows` with the same settings, "
            f"then change {data.knobs}"
        )


def _require_same_everywhere(settings: TrainConfig, data: Splits) -> None:
    """Every process was told the same and reads the same, by whatever path: each machine has a command of its own."""
    said = settings.model_dump(mode="json", exclude={"data", "init"})
    everyone = gathered({**said, "fingerprint of the data": data.fingerprint})
    for rank, other in enumerate(everyone):
        if changed := config.differences(everyone[0], other):
            raise InputError(
                f"torchrun: with process {rank} {', '.join(changed[:3])}; start all with one command, on the same files"
            )


def _require_same_data(begun: dict[str, str] | None, data: Splits, out: Path) -> None:
    """A run goes on with the data that it was begun on."""
    if begun is not None and begun["fingerprint"] != data.fingerprint:
        changed = ", ".join(config.differences(begun, data.describe()))
        raise InputError(f"{out}: was begun on other data ({changed}); restore them or choose another --out")


def _begin(settings: TrainConfig, data: Splits, model: DiffusionModel, folder: RunFolder, here: World) -> None:
    """Record what is trained on what, and say so."""
    folder.add_to_manifest(
        command=sys.argv, started=datetime.now().astimezone().isoformat(timespec="seconds"), processes=here.size,
        strategy=settings.train.strategy,
        versions=versions(), machine=machine(), seed=settings.train.seed, data=data.describe(),
        parameters=model.n_parameters(), assumptions=settings.assumptions,
        init=None if settings.init == "none" else origin(settings.init),
        splits=[row._asdict() for row in data.counts()],
    )  # fmt: skip
    kind, size = type(settings.model).__name__, f"{model.n_parameters():,}"
    log.info("%s, %s parameters, rows of %d %ss, into %s", kind, size, settings.data.length, data.letter, folder.path)
    if data.left_out:
        log.info("left out: %s", data.left_out)
    if model.config.objective.remark:
        log.info(model.config.objective.remark)


def _epochs(settings: TrainConfig, data: Splits) -> float:
    """How often each training row is seen."""
    return settings.train.max_steps * settings.train.batch_size / len(data.train)


def _warn_of_repeats(settings: TrainConfig, data: Splits) -> None:
    if (epochs := _epochs(settings, data)) > MOST_EPOCHS:
        log.warning(
            "each of the %s is seen %s times, and learned by heart; lower train.max_steps, or train on more",
            counted(len(data.train), "training window"), f"{epochs:,.0f}",
        )  # fmt: skip


def _time_of_step(model: DiffusionModel, steps: StepDataset, step: int, rows: int, share: float) -> float:
    """Seconds for a share of a micro-batch: fewer rows, then shorter ones."""
    n_rows = max(1, math.ceil(rows * share))
    length = math.ceil(steps.length * min(1.0, rows * share / n_rows))
    batch, noise = steps[step].rows(0, n_rows)
    batch, noise = Batch(batch.tokens[:, :length]), Noise(noise.times, noise.uniforms[..., :length])
    began = time.monotonic()
    model.loss(batch, noise).nats.sum().backward()  # type: ignore[no-untyped-call]
    return time.monotonic() - began


def _peak_memory() -> int:
    """Bytes; Linux counts in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def describe(plan: dict[str, Any]) -> str:
    """A plan as text."""
    return json.dumps(plan, indent=2)
