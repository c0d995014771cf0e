"""Papers of arXiv and PubMed, validation parts, as the zero-shot tables of SEDD and MDLM read them.

    python data_prep/scientific_papers.py --out data/scientific_papers

arxiv/*.parquet (6,436 papers) and pubmed/*.parquet (6,633), column `article`:
    source    Cohan et al. 2018; data set armanc/scientific_papers on the Hugging Face hub, as parquet
    licence   none is stated; for research
    size      some 220 MB
    checksum  sha256, which the hub lists beside each file

Not part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import hub
import program

PARTS = ("arxiv", "pubmed")


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    return program.run(__doc__, Path("data/scientific_papers"), {"hub-url": hub.HUB_URL}, get, arguments, parts=PARTS)


def get(options: argparse.Namespace) -> None:
    """Get the validation part of the sets that are asked for."""
    for part in options.parts:
        hub.fetch_folder(
            "armanc/scientific_papers", f"{part}/validation", options.out / part, revision="refs/convert/parquet",
            licence="none stated", hub_url=options.hub_url,
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
