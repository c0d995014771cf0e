"""Bare surroundings, as on a cluster's node: no home, no locale, no terminal, no network. It works, or says why."""

import os
import subprocess
import sys

import pytest

BASES = "ACGTTGCATTAGGCCA" * 40
PATIENCE_S = 240  # beyond it a process hangs, however busy the machine


@pytest.mark.case(59)
def test_it_works_without_home_locale_colours_and_terminal(tmp_path):
    (tmp_path / "g.fa").write_text(f">chr1\n{BASES}\n>chrü\n{BASES}\n", encoding="utf-8")
    (tmp_path / "tmp").mkdir()
    bare = {
        "PATH": os.defpath, "HOME": "/proc/none", "TMPDIR": str(tmp_path / "tmp"), "TERM": "dumb", "NO_COLOR": "1",
        "COLUMNS": "20", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii:backslashreplace",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    words = ["data.length=64", "data.split.kind=chromosome", "data.split.valid=[chr1]", "data.split.test=[]"]
    done = subprocess.run(
        [sys.executable, "-m", "dnadiff", "windows", "--ref", "g.fa", *words], cwd=tmp_path, env=bare, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "chr1" in done.stdout
    assert "640" in done.stdout
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert "cannot write here" in done.stderr  # the home's cache, and what serves in its place
    assert {path.name for path in tmp_path.iterdir()} == {"g.fa", "tmp"}


@pytest.mark.case(59)
def test_importing_everything_asks_nothing_of_the_network():
    code = """
import importlib, pkgutil, sys
asked = []
sys.addaudithook(lambda event, _: asked.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
import dnadiff
for module in pkgutil.walk_packages(dnadiff.__path__, "dnadiff."):
    if not (module.name.startswith("dnadiff.ops.triton") or "._" in module.name):  # Triton's, C's, and the program
        importlib.import_module(module.name)
print(len([name for name in sys.modules if name.startswith("dnadiff.")]), asked)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    n_modules, asked = done.stdout.split(maxsplit=1)
    assert int(n_modules) > 150
    assert asked.strip() == "[]"
