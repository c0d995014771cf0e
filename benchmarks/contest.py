"""What the programs share: contenders take turns in one process, and use memory each in a process of its own."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from dnadiff.ops.scan import selective_scan


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


def floor(width: int, layers: int, rows: int, length: int, *, backward: bool = True) -> dict[str, float]:
    """Seconds that a step of Caduceus-PS cannot go below, or its forward pass alone, at the rates of this machine."""
    tokens, inner, states = 2 * rows * length, 2 * width, 16
    rank, passes = -(-width // 16), 3 if backward else 1
    per_token = width * 2 * inner + 2 * (inner * (rank + 2 * states) + rank * inner) + inner * width
    flops = passes * 2 * tokens * layers * per_token
    left, right = torch.randn(tokens, width), torch.randn(width, 2 * inner)
    flops_per_second = 2 * tokens * width * 2 * inner / min(timed(lambda: left @ right) for _ in range(10))
    source = torch.randn(tokens, inner)
    target = torch.empty_like(source)
    bytes_per_second = 2 * source.nbytes / min(timed(lambda: target.copy_(source)) for _ in range(10))
    # forward: x and z out, conv in and out, delta, scan out for each direction, the gated sum; about twice that back
    traffic = passes * layers * tokens * inner * 4 * 14
    shape = (2 * rows, length, inner)
    x, delta = torch.randn(shape, requires_grad=backward), torch.full(shape, -3.0, requires_grad=backward)
    A = -torch.arange(1.0, states + 1).repeat(inner, 1)
    B, C = (torch.randn(*shape[:2], states, requires_grad=backward) for _ in range(2))

    def scan() -> None:
        out = selective_scan(x, delta, A, B, C)
        if backward:
            out.sum().backward()

    return {
        "matrix products": flops / flops_per_second,
        "scans": 2 * layers * min(timed(scan) for _ in range(5)),
        "memory": traffic / bytes_per_second,
    }
