"""LAMBADA's test passages, as OpenAI gives them with GPT-2.

    python data_prep/lambada.py --out data/lambada

lambada_test.jsonl, 5,153 passages in the field `text`:
    source    Paperno et al. 2016, detokenised by OpenAI
    licence   CC BY 4.0 for LAMBADA
    size      2 MB
    checksum  none is published: what came first is recorded and later compared with

Not part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import program
from fetch import fetch

URL = "https://openaipublic.blob.core.windows.net/gpt-2/data/lambada_test.jsonl"


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    return program.run(__doc__, Path("data/lambada"), {"url": URL}, get, arguments)


def get(options: argparse.Namespace) -> None:
    """Get the file."""
    fetch(options.url, options.out / "lambada_test.jsonl", licence="CC BY 4.0")


if __name__ == "__main__":
    sys.exit(main())
