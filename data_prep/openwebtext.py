"""OpenWebText: eight million web pages, an open copy of what GPT-2 was trained on.

    python data_prep/openwebtext.py --out data/openwebtext
    dnadiff train text/owt

*.parquet, a page in each row, column `text`; the last 100,000 are for validation, as in SEDD and MDLM:
    source    Gokaslan & Cohen 2019; data set Skylion007/openwebtext on the Hugging Face hub
    licence   CC0 for the collection; the pages are their authors'
    size      some 24 GB
    checksum  sha256, which the hub lists beside each file

Not part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import hub
import program

LICENCE = "CC0 for the collection; the pages are their authors'"


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    return program.run(__doc__, Path("data/openwebtext"), {"hub-url": hub.HUB_URL}, get, arguments)


def get(options: argparse.Namespace) -> None:
    """Get every file."""
    hub.fetch_folder("Skylion007/openwebtext", "plain_text", options.out, licence=LICENCE, hub_url=options.hub_url)


if __name__ == "__main__":
    sys.exit(main())
