"""`python -m tests.fuzz fasta --seconds 60`: atheris looks for bytes that a reader neither reads right nor refuses.

`pip install atheris` gets it, for Linux; it is no dependency of dnadiff. What it finds is written to the working folder
as crash-HASH, and `python -m tests.fuzz fasta crash-HASH` tries it again.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")  # files are written for each try


def main() -> int:
    """0 if nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", help="fasta, fai, bed, vcf, table, labelled, settings or manifest")
    parser.add_argument("file", nargs="?", type=Path, help="try this content alone")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dnadiff-fuzz-", dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
    os.environ["DNADIFF_CACHE"] = str(folder / "cache")
    try:
        if options.file is not None:
            from tests.fuzz.parsers import holds

            print("is read" if holds(options.name, options.file.read_bytes(), folder) else "is refused")
            return 0
        child = os.fork()  # atheris never returns
        if child == 0:
            search(options.name, options.seconds, folder)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def search(name: str, seconds: int, folder: Path) -> None:
    """Try what reaches new lines of the code; ends at the first find."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed; pip install atheris")
    with atheris.instrument_imports(include=["dnadiff"]):
        from tests.fuzz.parsers import PARSERS, holds
    from tests.fuzz.seeds import SEEDS, WORDS

    if name not in PARSERS:
        sys.exit(f"{name}: no such reader; there are {', '.join(PARSERS)}")
    corpus, words = folder / "corpus", folder / "words"
    corpus.mkdir()
    for number, content in enumerate(SEEDS[name]):
        (corpus / str(number)).write_bytes(content)
    words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n' for word in WORDS))

    logging.disable()

    def try_one(content: bytes) -> None:
        try:
            holds(name, content, folder)
        except Exception:
            Path(f"crash-{hashlib.sha256(content).hexdigest()[:12]}").write_bytes(content)
            raise

    flags = [f"-max_total_time={seconds}", f"-dict={words}", "-timeout=10", "-rss_limit_mb=4096", "-max_len=2000"]
    atheris.Setup([sys.argv[0], *flags, str(corpus)], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
