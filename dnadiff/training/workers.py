"""The processes that read ahead: what they outlive, and how their errors and their end are told."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dnadiff.errors import DnadiffError, ResourceError


def outlive_signals(_: int) -> None:
    """In a worker: a scheduler or a terminal signals every process, and the step in progress is still to be read.

    SIGTERM of the parent alone ends it; so does, as ever, the end of the parent.
    """
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":  # elsewhere nobody can tell who sent a signal
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_by_parent, daemon=True).start()


def _end_by_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def located(error: Exception, where: str) -> Exception:
    """The same error, whose message says where it happened."""
    if isinstance(error, DnadiffError):
        return type(error)(f"{where}: {error}")
    if isinstance(error, MemoryError):
        return error
    if isinstance(error, OSError):
        return ResourceError(f"{where}: {error.strerror or error}")
    return RuntimeError(f"{where}: {error}" if type(error) is RuntimeError else f"{where}: {error!r}")


@contextmanager
def lost_workers(reading: Callable[[], str]) -> Iterator[None]:
    """Say what was being read when a worker is killed or hangs.

    Raises:
        ResourceError: a worker was lost.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader" not in str(error):
            raise
        what = "gave nothing in time" if "timed out" in str(error) else "was killed, maybe for want of memory"
        raise ResourceError(
            f"{_undisturbed(reading)}: a process that reads ahead {what}; the same command goes on from the last "
            "checkpoint, with other train.workers if you add --force"
        ) from error


def _undisturbed(reading: Callable[[], str]) -> str:
    """What was read, though more workers end meanwhile: torch raises that wherever the main thread is."""
    while True:
        try:
            return reading()
        except RuntimeError as error:
            if "DataLoader" not in str(error):
                raise
