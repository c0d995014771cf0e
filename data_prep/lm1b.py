"""The One Billion Word Benchmark: shuffled sentences of news.

    python data_prep/lm1b.py --out data/lm1b
    dnadiff train text/lm1b

train/*.txt (99 files, 30.3 million sentences), valid/*.txt (50 files, 306,688 sentences), a sentence on each line:
    source    Chelba et al. 2013, statmt.org/lm-benchmark
    licence   none is stated; the news are WMT11's, for research
    size      1.8 GB as tar.gz, 4.2 GB as text
    checksum  none is published: what came first is recorded and later compared with

Not part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import program
from fetch import FetchError, fetch

NAME = "1-billion-word-language-modeling-benchmark-r13output.tar.gz"
URL = f"http://www.statmt.org/lm-benchmark/{NAME}"
MOST_MEMBERS, MOST_BYTES = 1000, 5_000_000_000  # of 149 files of sentences, which have 4.2 GB
FOLDERS = {"training-monolingual.tokenized.shuffled": "train", "heldout-monolingual.tokenized.shuffled": "valid"}


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    return program.run(__doc__, Path("data/lm1b"), {"url": URL}, get, arguments)


def get(options: argparse.Namespace) -> None:
    """Get the archive, and the sentences out of it."""
    archive = options.out / NAME
    fetch(options.url, archive, licence="none stated; WMT11's news, for research")
    try:
        with tarfile.open(archive) as tar:
            found = [_write(tar, member, options.out) for member in _members(tar, archive) if member.isfile()]
    except (tarfile.TarError, EOFError) as error:
        raise FetchError(f"{archive}: is damaged ({error}); remove it and run again") from None
    if set(FOLDERS.values()) - set(found):
        raise FetchError(f"{archive}: lacks sentences to train on or held-out ones; it is another archive")


def _members(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    """The members, as long as there are no more and no larger ones than the benchmark has."""
    n_bytes = 0
    for number, member in enumerate(tar):
        n_bytes += member.size
        if number == MOST_MEMBERS or n_bytes > MOST_BYTES:
            raise FetchError(f"{archive}: has more than {MOST_MEMBERS} files or {MOST_BYTES:,} bytes; it is another")
        yield member


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, out: Path) -> str | None:
    """Write a file of sentences under a name of ours; which split it is of."""
    path = PurePosixPath(member.name)
    split, content = FOLDERS.get(path.parent.name), tar.extractfile(member)
    if split is None or content is None or not path.name.startswith("news.en"):
        return None
    (out / split).mkdir(exist_ok=True)
    target = out / split / f"{path.name}.txt"
    part = target.with_name(f"{target.name}.part")
    with content, part.open("wb") as file:
        shutil.copyfileobj(content, file)
    os.replace(part, target)
    return split


if __name__ == "__main__":
    sys.exit(main())
