"""The processes that share a command: which of them this is, and what they tell each other.

`torchrun` starts them and tells each its number. Without it there is one process, which waits for nobody.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

from dnadiff.errors import InputError, ResourceError

T = TypeVar("T")
STEP_PATIENCE = timedelta(minutes=30)  # that a process waits for one that lives and is silent
WORK_PATIENCE = timedelta(days=7)  # where each first does its share of long work, and shares may differ
LOST = r"gloo|NCCL|Dist(Backend|Network|Store)?Error"  # in what torch raises where a process cannot be reached


class World(NamedTuple):
    """The place of a process among all, and among those of its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and prints."""
        return self.rank == 0


ALONE = World()


def world() -> World:
    """The place of this process, from the environment."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return ALONE
    return World(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))


def require_torchrun() -> None:
    """Several processes know of each other.

    Raises:
        InputError: Slurm started them without `torchrun`, and each would take itself for the only one.
    """
    n_started = int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))
    if n_started > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        raise InputError(
            f"srun: started {n_started} processes that do not know of each other; start one on each machine, "
            "srun --ntasks-per-node 1 torchrun ... -m dnadiff ..."
        )


@contextmanager
def joined(patience: timedelta) -> Iterator[World]:
    """Connect the processes inside the block; each has the GPU of its number, if there are GPUs.

    Args:
        patience: how long one waits for another that lives. Of one that has died they hear at once.

    Raises:
        InputError: a machine has more processes than GPUs.
        ResourceError: another process is gone.
    """
    here = world()
    if here.size == 1:
        yield here
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        if here.local_size > torch.cuda.device_count():
            raise InputError(
                f"torchrun: {here.local_size} processes on a machine with {torch.cuda.device_count()} GPUs; "
                "lower --nproc-per-node"
            )
        torch.cuda.set_device(here.local_rank)
    try:
        distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=patience)
        yield here
    except RuntimeError as error:
        if not re.search(LOST, repr(error)):
            raise
        raise ResourceError(
            "another process of the run has ended or is silent; what it said says why, and the same command goes on"
        ) from error
    distributed.destroy_process_group()  # not after an error: it would wait for those that are gone


def gathered(value: T) -> list[T]:
    """What each process gives, in their order; every one of them has to ask."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    found: list[T] = [value] * distributed.get_world_size()
    distributed.all_gather_object(found, value)
    return found


def anywhere(flag: bool) -> bool:
    """Whether it holds in any process; every one of them has to ask."""
    import torch
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return flag
    total = torch.tensor(int(flag))
    distributed.all_reduce(total)
    return bool(total)
