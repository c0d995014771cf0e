"""What the programs share: contenders take turns in one process, and use memory each in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn
from torch.optim import Optimizer


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def take_turns(ways: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Median seconds of each; whatever else the machine does meets all of them."""
    seconds = [{name: timed(work) for name, work in ways.items()} for _ in range(turns)]
    return {name: statistics.median(turn[name] for turn in seconds) for name in ways}


def descend(model: nn.Module, optimizer: Optimizer, loss: Tensor) -> float:
    """What follows the loss in a training step; returns the loss."""
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def peak_memory() -> int:
    """Bytes of this process (Linux); its resource usage would count the parent's as well."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def in_its_own_process(*words: str) -> str:
    """The last line that this program prints when it is called again, with these words added."""
    command = [sys.executable, *sys.argv, *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1]
