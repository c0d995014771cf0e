"""Several processes that share a command, as torchrun would start them, but forked: nothing is imported again."""

import logging
import os
import signal
import socket
import sys
import time
import traceback
from contextlib import closing

import torch

SECONDS = 300  # after which a process that hangs is ended; on a busy machine a test may take a minute


def start(work, *, folder, size=2):
    """Process numbers of `size` processes that run `work(rank)`; what each prints is in `folder`/RANK.txt."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = []
    sys.stdout.flush()
    sys.stderr.flush()
    for rank in range(size):
        pid = os.fork()
        if pid == 0:
            _run(work, rank, size, port, folder / f"{rank}.txt")
        started.append(pid)
    return started


def codes(started):
    """Exit code of each process, negative for a signal, and seconds until the last had ended."""
    began = time.monotonic()
    found = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in started]
    return found, time.monotonic() - began


def together(work, *, folder, size=2):
    """Run to the end; all must succeed."""
    folder.mkdir(exist_ok=True)
    found, _ = codes(start(work, folder=folder, size=size))
    assert found == [0] * size, "\n".join((folder / f"{rank}.txt").read_text() for rank in range(size))


def _run(work, rank, size, port, said):
    """In a child: the environment of torchrun, an end to every wait, and no way back into the tests."""
    signal.alarm(SECONDS)
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "none", "RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    logging.getLogger().handlers.clear()  # pytest's
    torch.cuda.is_available = lambda: False  # which a forked process cannot use
    code = 1
    try:
        work(rank)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
