"""`python -m tests.reliability`: how each case of the board stands, after all tests that try one.

The random kills and flips are as many as the board asks for; in the suite they are a few.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import pytest

from tests.reliability.board import CASES
from tests.reliability.verdicts import Verdict, Verdicts, numbers_in, table

TESTS = Path(__file__).parents[1]


def main() -> int:
    """0 if no chosen case failed or is untried."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description="How each case stands.")
    parser.add_argument("--case", type=int, action="append", choices=CASES, metavar="N", help="only this case; repeat")
    parser.add_argument("--trials", default="full", help="of each random fault, such as 300; default: each case's own")
    parser.add_argument("--tests", type=Path, default=TESTS, help="folder to look in; default: all tests")
    options = parser.parse_args()
    chosen = set(options.case or CASES)
    os.environ["DNADIFF_TRIALS"] = options.trials
    files = [path for path in sorted(options.tests.rglob("test_*.py")) if chosen & numbers_in(path)]
    verdicts, began = Verdicts(chosen), time.monotonic()
    how = ["-c", TESTS.parent / "pyproject.toml", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    if files:
        pytest.main([str(word) for word in [*how, *files]], plugins=[verdicts])
    print("", *table(verdicts, chosen), sep="\n", end=f"  {time.monotonic() - began:.0f} s\n")
    good = {Verdict.PASSED, Verdict.SKIPPED}
    return int(any(verdicts.of(case) not in good for case in chosen))


if __name__ == "__main__":
    sys.exit(main())
