"""text8: a hundred million characters of Wikipedia, a to z and space, in the splits of D3PM (Austin et al. 2021).

    python data_prep/text8.py --out data/text8
    dnadiff train text/text8

train/text8.txt (95 million characters, the last five of which are for validation) and test/text8.txt (five million), in
lines of 10,000 characters:
    source    Matt Mahoney, mattmahoney.net/dc/textdata
    licence   CC BY-SA, as Wikipedia's text
    size      31 MB as zip
    checksum  none is published: what came first is recorded and later compared with

Not part of this repository, and the package never imports this program.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from pathlib import Path

import program
from fetch import FetchError, fetch, replace_text

URL = "http://mattmahoney.net/dc/text8.zip"
N_CHARACTERS, N_TRAIN, LINE = 100_000_000, 95_000_000, 10_000


def main(arguments: list[str] | None = None) -> int:
    """Run the program; the exit status is 2 where something could not be had."""
    return program.run(__doc__, Path("data/text8"), {"url": URL}, get, arguments)


def get(options: argparse.Namespace) -> None:
    """Get the archive, and both parts out of it."""
    archive = options.out / "text8.zip"
    fetch(options.url, archive, licence="CC BY-SA, as Wikipedia's text")
    try:
        with zipfile.ZipFile(archive) as zipped:
            if (found := zipped.getinfo("text8").file_size) != N_CHARACTERS:  # before it is unpacked
                raise FetchError(f"{archive}: holds {found:,} characters, not {N_CHARACTERS:,}; it is another text")
            text = zipped.read("text8").decode("ascii")
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError) as error:
        raise FetchError(f"{archive}: is not text8 ({error}); remove it and run again") from None
    for name, part in (("train", text[:N_TRAIN]), ("test", text[N_TRAIN:])):
        (options.out / name).mkdir(exist_ok=True)
        lines = (part[i : i + LINE] + "\n" for i in range(0, len(part), LINE))
        replace_text(options.out / name / "text8.txt", "".join(lines))


if __name__ == "__main__":
    sys.exit(main())
