"""What long work shows: a progress bar, on a terminal or in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress

from dnadiff.world import world


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while the block runs, nothing where nobody looks at it; gives `advance(n)`."""
    console = Console(stderr=True)
    is_seen = world().is_first and (console.is_terminal or console.is_jupyter)
    with Progress(console=console, transient=True, disable=not is_seen) as bar:
        task = bar.add_task(title, total=total)
        yield lambda n: bar.advance(task, n)
