"""Do the tests see a fault? `python -m tests.mutation` seeds faults in a copy of the package, one at a time.

For each fault the tests of its room run on the copy, and must fail; a fault that they pass is a missing test. The
working tree is never touched. `--only WORD` takes the faults whose description holds the word.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
COPIED = ("dnadiff", "configs", "data_prep", "tests", "pyproject.toml", "README.md", "constraints.txt")
TESTS_FAILED = 1  # pytest's exit status


class Fault(NamedTuple):
    """One mistake.

    Attributes:
        what: of the mistake.
        file: in the package.
        right, wrong: a piece of the file that occurs once, and what stands in its place.
        tests: files that must turn red.
    """

    what: str
    file: str
    right: str
    wrong: str
    tests: str


FAULTS = [
    Fault(
        "off by one: the last window of every row is lost", "data/windows.py",
        "n_each = np.maximum((rows.end - rows.start - length) // stride + 1, 0)",
        "n_each = np.maximum((rows.end - rows.start - length) // stride, 0)", "data/test_windows.py",
    ),
    Fault(
        "off by one: windows may be shifted a base beyond their split", "data/window_set.py",
        "np.minimum(self._jitter, chosen.high - self.length - chosen.start)",
        "np.minimum(self._jitter, chosen.high - self.length - chosen.start + 1)", "data/test_genome.py",
    ),
    Fault(
        "the average of the weights is no longer updated", "training/trainer.py",
        "weight = 1.0 - self._decay(n_averaged) if n_averaged else 1.0",
        "weight = 0.0 if n_averaged else 1.0", "training/test_average.py",
    ),
    Fault(
        "wrong sign of a schedule's derivative", "diffusion/schedules.py",
        "return torch.full_like(t, self.eps - 1.0)", "return torch.full_like(t, 1.0 - self.eps)",
        "diffusion/test_schedules.py",
    ),
    Fault(
        "a save that is not atomic: what is there is removed first", "files.py",
        "        os.replace(temporary, path)\n", "        _remove(path)\n        shutil.move(temporary, path)\n",
        "test_files.py",
    ),
    Fault(
        "a save that is not on the disk before it has its name", "files.py", "            flush(part)\n",
        "            part.exists()\n", "test_files.py",
    ),
    Fault(
        "labels are numbered as they appear", "data/labelled/open.py", "names = sorted(set(labels))",
        "names = list(dict.fromkeys(labels))", "data/labelled/test_open.py",
    ),
    Fault(
        "the reverse complement is complemented only", "dna.py", "return COMPLEMENT.take(tokens[..., ::-1])",
        "return COMPLEMENT.take(tokens)", "test_dna.py",
    ),
    Fault(
        "the bound's weight forgets the hidden fraction", "diffusion/objectives/masked.py",
        "return Level(alpha, -schedule.dalpha(t) / (1.0 - alpha))", "return Level(alpha, -schedule.dalpha(t))",
        "diffusion/test_mdlm.py diffusion/test_masked_laws.py",
    ),
    Fault(
        "an estimator weighs by N / (n + 1)", "diffusion/estimators.py",
        "weight = scored.sum(1).clamp(min=1) / torch.where(hidden.any(1), rate, 1).double()",
        "weight = scored.sum(1).clamp(min=1) / (torch.where(hidden.any(1), rate, 1).double() + 1)",
        "diffusion/test_estimators.py",
    ),
    Fault(
        "the mask leaks: one letter stays visible where it is scored", "diffusion/objectives/masked.py",
        "tokens=batch.tokens.masked_fill(hidden, vocab.mask)",
        "tokens=batch.tokens.masked_fill(hidden & (batch.tokens != vocab.letters[0]), vocab.mask)",
        "diffusion/test_mdlm.py diffusion/test_masked_laws.py",
    ),
    Fault(
        "VCF's positions are read as 0-based", "data/vcf.py", "start = int(position) - 1", "start = int(position)",
        "data/test_vcf.py",
    ),
    Fault(
        "the seed of the order is lost when a run is resumed", "training/steps.py",
        "self._orders = {epoch: epoch_order(self._seed, epoch, len(self._rows))}",
        "self._orders = {epoch: epoch_order(id(self) % 1009, epoch, len(self._rows))}", "training/test_resume.py",
    ),
    Fault(
        "a resumed run begins its epoch again", "training/steps.py", "return iter(range(self._start, self._stop))",
        "return iter(range(0, self._stop - self._start))", "training/test_resume.py",
    ),
    Fault(
        "the worst checkpoint is called the best", "run.py", "min(validated, key=", "max(validated, key=",
        "test_run.py",
    ),
    Fault(
        "checksums are not compared", "checkpoint.py", " or sha256(file) != expected", "", "test_checkpoint.py",
    ),
    Fault(
        "twins of the opposite strand may be in different folds", "data/leakage/groups.py",
        "first.setdefault(min(tokens, opposite), row)", "first.setdefault(tokens, row)",
        "data/leakage/test_groups.py data/labelled/test_folds.py",
    ),
    Fault(
        "folds cut through groups", "data/labelled/folds.py", "folds: Ints = chosen[group]",
        "folds: Ints = np.arange(len(label)) % n_folds", "data/labelled/test_folds.py",
    ),
    Fault(
        "splits share the base at their border", "data/windows.py",
        "shared = (contig[1:] == contig[:-1]) & (start[1:] < end[:-1])",
        "shared = (contig[1:] == contig[:-1]) & (start[1:] < end[:-1] - 1)", "data/test_windows.py",
    ),
    Fault(
        "a download is not compared with its checksum", "../data_prep/fetch.py",
        "if expected is not None and (found := digest(path, algorithm)) != expected:",
        "if expected is not None and not (found := digest(path, algorithm)):", "data_prep/test_hg38.py",
    ),
]  # fmt: skip


def main() -> int:
    """0 if every fault was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Do the tests see a fault?")
    parser.add_argument("--only", default="", metavar="WORD", help="faults whose description holds this")
    chosen = [fault for fault in FAULTS if parser.parse_args().only in fault.what]
    seen = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        copy_tree(copy)
        for fault in chosen:
            began = time.monotonic()
            with seeded(fault, copy / "dnadiff" / fault.file):
                status, last = run_tests(copy, fault.tests)
            seen += status == TESTS_FAILED
            verdict = {TESTS_FAILED: "seen", 0: "NOT SEEN"}.get(status, f"pytest ended with {status}")
            print(f"{verdict:9} {fault.what} ({time.monotonic() - began:.0f} s): {last}", flush=True)
        status, last = run_tests(copy, " ".join({name for fault in chosen for name in fault.tests.split()}))
        print(f"{seen} of {len(chosen)} faults seen; without a fault: {last}")
    return int(seen < len(chosen) or status != 0)


def copy_tree(to: Path) -> None:
    """What the tests need, without what they left behind."""
    unwanted = shutil.ignore_patterns("__pycache__", ".hypothesis")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=unwanted)
        else:
            shutil.copy(source, to / name)


@contextmanager
def seeded(fault: Fault, path: Path) -> Iterator[None]:
    """The file with its fault while the block runs."""
    text = path.read_text(encoding="utf-8")
    if text.count(fault.right) != 1:
        raise SystemExit(f"{fault.file}: {fault.right!r} is there {text.count(fault.right)} times; renew the fault")
    path.write_text(text.replace(fault.right, fault.wrong), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(text, encoding="utf-8")


def run_tests(copy: Path, names: str) -> tuple[int, str]:
    """pytest's exit status on test files of the copy, and what its summary says first."""
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    files = [str(copy / "tests" / name) for name in names.split()]
    command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if line.strip()] or [done.stderr.strip()]
    return done.returncode, next((line for line in lines if line.startswith(("FAILED", "ERROR"))), lines[-1])


if __name__ == "__main__":
    sys.exit(main())
