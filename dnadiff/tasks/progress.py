"""What long work keeps: a file of what the package says."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnadiff.errors import DnadiffError

log = logging.getLogger("dnadiff")


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Inside the block, what the package says goes to a file as well, with what a progress bar shows in its place.

    An error is written there too, with its traceback where it is none that a user can mend.
    """
    level, handler = log.level, logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    except DnadiffError as error:
        log.debug("%s", error)  # the command line prints it
        raise
    except Exception:
        log.debug("ended by an error", exc_info=True)
        raise
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        handler.close()
