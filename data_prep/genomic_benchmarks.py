"""Genomic Benchmarks: labelled sequences of eight sets of regulatory elements, and of a ninth that papers leave out.

    python data_prep/genomic_benchmarks.py --out data/genomic_benchmarks
    dnadiff classify genomic_benchmarks --data data/genomic_benchmarks

    python data_prep/genomic_benchmarks.py --intervals
    dnadiff classify genomic_benchmarks --ref hg38.fa

The sequences, NAME_v0.zip with a file for each sequence, NAME/{train,test}/CLASS/NUMBER.txt:
    source    Gresova et al., BMC Genomic Data 2023; Zenodo record 16605299
    licence   Apache-2.0
    size      about 300 MB in all, zip
    checksum  md5, the one that Zenodo lists beside each file

The places, with --intervals, intervals/NAME/{train,test}/CLASS.csv.gz (id,region,start,end,strand; 0-based, half-open,
read 5' to 3' on the strand), from which a genome at hand gives the same sequences without that download:
    source    the repository of the same paper, ML-Bioinfo-CEITEC/genomic_benchmarks, folder datasets
    licence   Apache-2.0
    size      10 MB in all, gzip
    checksum  md5 of the files as they were read in 2026, in genomic_benchmarks.md5 beside this program

Neither is part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection
from pathlib import Path

from fetch import FetchError, fetch, fetch_text, replace_text
from program import finish

RECORD_URL = "https://zenodo.org/api/records/16605299"
LISTS_URL = "https://raw.githubusercontent.com/ML-Bioinfo-CEITEC/genomic_benchmarks/main/datasets"
LICENCE = "Apache-2.0"
LISTED = Path(__file__).with_suffix(".md5")


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    lists = known_lists(LISTED.read_text(encoding="utf-8"))
    names = sorted({path.split("/")[0] for path in lists})
    out = Path("data/genomic_benchmarks")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=out, help=f"folder to write (default: {out})")
    parser.add_argument("--sets", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--intervals", action="store_true", help="get the places instead of the sequences")
    parser.add_argument("--record-url", default=RECORD_URL, help="Zenodo's description of the record, or a mirror's")
    parser.add_argument("--lists-url", default=LISTS_URL, help="folder of the interval lists, or a mirror of it")
    options = parser.parse_args(arguments)
    folder = options.out / "intervals" if options.intervals else options.out

    def work() -> None:
        if options.intervals:
            write_lists(options.lists_url.rstrip("/"), folder, lists, options.sets)
        else:
            write_sequences(options.record_url, folder, options.sets)

    return finish(work, f"{', '.join(options.sets)}: in {folder}")


def write_sequences(record_url: str, folder: Path, sets: Collection[str]) -> None:
    """Get the archive of each set, checked by what the record lists."""
    archives = published_archives(record_url)
    for name in sets:
        file = f"{name}_v0.zip"
        if file not in archives:
            raise FetchError(f"{record_url}: does not list {file}; leave {name} out of --sets")
        url, md5 = archives[file]
        fetch(url, folder / file, md5=md5, licence=LICENCE)


def published_archives(record_url: str) -> dict[str, tuple[str, str]]:
    """Address and md5 of every file of a Zenodo record, by name."""
    try:
        files = json.loads(fetch_text(record_url))["files"]
        found = {file["key"]: (file["links"]["self"], file["checksum"]) for file in files}
    except (ValueError, KeyError, TypeError):
        raise FetchError(f"{record_url}: is not a Zenodo record; give its address with --record-url") from None
    return {name: (url, checksum.removeprefix("md5:")) for name, (url, checksum) in found.items()}


def write_lists(url: str, folder: Path, lists: dict[str, str], sets: Collection[str]) -> None:
    """Get the interval lists of each set and record them in one file; `lists` gives the md5 of each by its path."""
    wanted = {path: md5 for path, md5 in lists.items() if path.split("/")[0] in sets}
    for path, md5 in wanted.items():
        fetch(f"{url}/{path}", folder / path, md5=md5, licence=None)
    record = {"url": url, "licence": LICENCE, "md5": wanted}
    replace_text(folder.with_name(f"{folder.name}.json"), json.dumps(record, indent=2) + "\n")


def known_lists(text: str) -> dict[str, str]:
    """md5 by path, from lines as md5sum writes them."""
    return {path: md5 for md5, path in (line.split(maxsplit=1) for line in text.splitlines())}


if __name__ == "__main__":
    sys.exit(main())
