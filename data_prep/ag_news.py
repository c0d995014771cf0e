"""AG News: beginnings of news articles.

    python data_prep/ag_news.py --out data/ag_news

test/*.parquet (7,600 articles) and train/*.parquet (120,000), column `text`:
    source    Zhang et al. 2015; data set fancyzhx/ag_news on the Hugging Face hub
    licence   none is stated; for research
    size      20 MB
    checksum  sha256, which the hub lists beside each file

Not part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import hub
import program


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    return program.run(__doc__, Path("data/ag_news"), {"hub-url": hub.HUB_URL}, get, arguments)


def get(options: argparse.Namespace) -> None:
    """Get both splits."""
    for split in ("train", "test"):
        hub.fetch_folder(
            "fancyzhx/ag_news", "data", options.out / split, starts=split, licence="none stated",
            hub_url=options.hub_url,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
