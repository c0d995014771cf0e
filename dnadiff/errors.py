"""What can go wrong for a user, with stable exit codes.

Every message says where, what was found and how to mend it, in one line. The command line prints the message and exits
with `exit_code`; a traceback is shown only with `--debug`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from itertools import islice

MOST_COMPARED = 10_000  # a genome can have a million contigs, and each comparison takes microseconds


class DnadiffError(Exception):
    """Base of every error that a user can mend; never raised itself."""

    exit_code = 1


class InputError(DnadiffError):
    """A file, setting or argument is not what it must be."""

    exit_code = 2


class ResourceError(DnadiffError):
    """The machine refuses: disk full, folder not writable, a run folder in use."""

    exit_code = 3


class OutOfMemoryError(DnadiffError):
    """Host or device memory is exhausted."""

    exit_code = 4


class LeakError(DnadiffError):
    """Bases that must be held out are seen in training."""

    exit_code = 5


class DivergedError(DnadiffError):
    """A training loss is no longer a finite number."""


class InterruptedRun(DnadiffError):
    """The user stopped the run; what was done is saved."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the closest known name, or an empty string.

    Letters may be wrong, their case and the numbers between them not: chr2 is no misspelling of chr21.
    """
    alike = {each.lower(): each for each in islice(known, MOST_COMPARED) if _numbers(each) == _numbers(name)}
    matches = difflib.get_close_matches(name.lower(), alike, n=1, cutoff=0.6)
    return f" (did you mean {alike[matches[0]]!r}?)" if matches else ""


def counted(n: int, name: str) -> str:
    """`1 sweep`, `5,000 sweeps`."""
    return f"{n:,} {name}{'' if n == 1 else 's'}"


def _numbers(name: str) -> list[str]:
    return re.findall(r"\d+", name)
