"""What the programs of this folder share: how they end, and options of those that get text. Standard library only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from fetch import FetchError

Get = Callable[[argparse.Namespace], None]


def run(
    doc: str | None, out: Path, urls: Mapping[str, str], get: Get, arguments: list[str] | None,
    *, parts: tuple[str, ...] = (),
) -> int:  # fmt: skip
    """Run a program; the exit status is 2 where something could not be had.

    Args:
        doc: its docstring, which is its help.
        out: default folder to write.
        urls: default addresses by option, such as {"url": ...} for --url, each of which a mirror can replace.
        get: does the work, given the options.
        parts: what --parts chooses from; all by default.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=out, help=f"folder to write (default: {out})")
    for name, url in urls.items():
        parser.add_argument(f"--{name}", default=url, help=f"address, or a mirror of it (default: {url})")
    if parts:
        parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts), help="which (default: all)")
    options = parser.parse_args(arguments)
    return finish(lambda: get(options), f"written into {options.out}")


def finish(work: Callable[[], None], done: str) -> int:
    """Do the work of a program; the exit status is 2 where something could not be had."""
    try:
        work()
    except (FetchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run again to go on from here", file=sys.stderr)
        return 130
    print(done)
    return 0
