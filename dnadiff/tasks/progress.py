"""What long work keeps: a file of what the package says."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dnadiff.errors import DnadiffError
from dnadiff.shown import Printable

log = logging.getLogger("dnadiff")


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Inside the block, what the package says goes to a file as well, with what a progress bar shows in its place.

    An error is written there too, with its traceback where it is none that a user can mend.
    """
    level, handler = log.level, _File(path, encoding="utf-8")
    handler.setFormatter(Printable("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    try:
        yield
    except DnadiffError as error:
        log.debug("%s", error)  # the command line prints it
        raise
    except KeyboardInterrupt:
        log.debug("stopped by Ctrl-C")
        raise
    except Exception:
        log.debug("ended by an error", exc_info=True)
        raise
    finally:
        log.setLevel(level)
        log.removeHandler(handler)
        handler.close()


class _File(logging.FileHandler):
    """Silent where it cannot be written: what the work says of a full disk is what counts."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing, where logging would print a traceback."""

    def close(self) -> None:
        with suppress(OSError):
            super().close()


def warned(path: Path) -> dict[str, int]:
    """What a file of `logged` warns of, and how often: of all processes, and of those before a run was resumed."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return dict(Counter(re.findall(r"^\S+ \S+ WARNING (.*)$", text, re.MULTILINE)))
