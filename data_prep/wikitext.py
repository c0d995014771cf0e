"""WikiText-2 and WikiText-103, raw: good articles of Wikipedia, tokenised with spaces.

    python data_prep/wikitext.py --out data/wikitext

wikitext-2/SPLIT/*.parquet and wikitext-103/SPLIT/*.parquet, a line in each row, its end included, column `text`:
    source    Merity et al. 2016; data set Salesforce/wikitext on the Hugging Face hub
    licence   CC BY-SA 4.0
    size      8 MB and 315 MB
    checksum  sha256, which the hub lists beside each file

Not part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import hub
import program

PARTS = ("wikitext-2", "wikitext-103")
SPLITS = ("train", "validation", "test")


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    return program.run(__doc__, Path("data/wikitext"), {"hub-url": hub.HUB_URL}, get, arguments, parts=PARTS)


def get(options: argparse.Namespace) -> None:
    """Get every split of the parts that are asked for."""
    for part in options.parts:
        for split in SPLITS:
            hub.fetch_folder(
                "Salesforce/wikitext", f"{part}-raw-v1", options.out / part / split, starts=split,
                licence="CC BY-SA 4.0", hub_url=options.hub_url,
            )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
