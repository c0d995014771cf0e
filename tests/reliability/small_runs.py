"""Small training runs in forked processes, for tests of what may happen to a process."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import util
from pathlib import Path
from typing import Any

import numpy as np
import torch
from oracle import silent_if_wrong

from dnadiff import checkpoint
from dnadiff.explain import explain
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import DiT
from dnadiff.run import RunFolder
from dnadiff.training.fit import fit
from dnadiff.training.metrics import read_metrics
from dnadiff.training.settings import OptimSettings, TrainSettings
from dnadiff.vocab import DNA

LONGEST_S = 30.0  # after which a process hangs


class RandomRows:
    """Random letters; what a read of a training step does besides is given by `at`."""

    length = 24
    labels = None

    def __init__(self, at: Callable[[int], None] = lambda n_reads: None, n: int = 20) -> None:
        self.tokens = np.random.default_rng(0).integers(7, 11, size=(n, self.length)).astype(np.uint8)
        self._at, self._reads = at, 0

    def __len__(self):
        return len(self.tokens)

    def rows(self, indices, *, epoch):
        if epoch is not None:
            self._reads += 1
            self._at(self._reads)
        rows = self.tokens[indices]
        return rows if epoch is None else np.roll(rows, epoch, axis=1)

    def place(self, index):
        return f"row {index}"


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how."""

    rows: Any
    valid: Any
    model: ModelConfig
    optim: OptimSettings
    train: TrainSettings

    def changed(self, *, rows: Any = None, **train: Any) -> Recipe:
        """Other rows, or other settings of `train`."""
        settings = TrainSettings(**{**self.train.model_dump(), **train})
        return replace(self, rows=self.rows if rows is None else rows, train=settings)

    def run(self, path: Path) -> RunFolder:
        """Train in a folder, or go on there."""
        torch.manual_seed(0)
        folder = RunFolder(path)
        with folder.locked():
            model = DiffusionModel(self.model, DNA)
            fit(model, self.rows, self.valid, folder, optim=self.optim, train=self.train, data_fingerprint="data")
        return folder


PLAIN = Recipe(
    RandomRows(),
    RandomRows(),
    ModelConfig(model=DiT(width=16, n_blocks=2, n_heads=2, conditioning="none", dropout=0.2)),
    OptimSettings(ema=0.9),
    TrainSettings(max_steps=20, batch_size=4, log_every=1, validate_every=10, checkpoint_every=3, valid_windows=4),
)


def result(run: RunFolder) -> tuple[list[tuple[str, ...]], dict[str, str]]:
    """What must be equal to the last digit: losses, validations and norms of all steps, and the final weights."""
    rows = [(row["step"], row["train_bits"], row["valid_bits"], row["grad_norm"]) for row in read_metrics(run.metrics)]
    digests = checkpoint.verify(run.checkpoint(run.steps()[-1]))["sha256"]
    return rows, {name: digest for name, digest in digests.items() if name.endswith(".safetensors")}


def goes_on(recipe: Recipe, path: Path, whole: RunFolder) -> None:
    """That a run in a folder ends like one that nothing happened to."""
    run = recipe.run(path)
    with silent_if_wrong():
        assert result(run) == result(whole)


def n_steps(run: Path) -> int:
    """Steps that a run has written to its metrics."""
    metrics = run / "metrics.csv"
    return metrics.read_text().count("\n") - 1 if metrics.exists() else 0


def forked(work: Callable[[], object], *, said: Path | None = None) -> int:
    """Start a process that works and ends as the command would; its id, which is that of its group too.

    Nothing has to be imported again, so that it works at once.

    Args:
        said: file for what it prints and warns of.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*fork", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    code = 0
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # tests may run in the background, where it is ignored
        if said is not None:
            sys.stdout = sys.stderr = said.open("w", buffering=1)
            logging.getLogger("dnadiff").addHandler(logging.StreamHandler())
        work()
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        code = explain(error)
    finally:
        util._exit_function()
        os._exit(code)


def patience() -> float:
    """How much longer things take than on a quiet machine."""
    wall, cpu = time.perf_counter(), time.process_time()
    while time.process_time() - cpu < 0.02:
        pass
    return max(1.0, (time.perf_counter() - wall) / (time.process_time() - cpu))


def ended(process: int, *, within: float = LONGEST_S) -> int:
    """Wait for a process; its exit code, or minus the signal that ended it. What hangs is killed: the test fails."""
    began, longest = time.monotonic(), within * patience()
    while time.monotonic() - began < longest:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    raise AssertionError(f"it hangs: not ended within {longest:.1f} s")


def wait_until(true: Callable[[], bool], *, process: int) -> bool:
    """Look often; False if the process ended first."""
    began, longest = time.monotonic(), LONGEST_S * patience()
    while not true():
        assert time.monotonic() - began < longest
        if os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        time.sleep(0.001)
    return True


def train_and_be_killed(recipe: Recipe, path: Path, chance: random.Random) -> None:
    """At a random step, and anywhere in it."""
    last = chance.randrange(recipe.train.max_steps)
    process = forked(lambda: recipe.run(path))
    wait_until(lambda: n_steps(path) >= last, process=process)
    time.sleep(chance.uniform(0, 0.05))
    os.kill(process, signal.SIGKILL)
    ended(process)
