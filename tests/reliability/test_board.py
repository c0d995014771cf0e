"""The board tells what passed, failed, was skipped, was never tried, and was wrong without a word."""

import subprocess
import sys
from pathlib import Path

import pytest
from board import CASES

ROOT = Path(__file__).parents[2]

TRIED = """
import os

import pytest
from oracle import silent_if_wrong


@pytest.mark.case(1)
def test_passes():
    assert os.environ["DNADIFF_TRIALS"] == "7"


@pytest.mark.case(2)
@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.skip)])
def test_half_of_it_is_skipped(number):
    pass


@pytest.mark.case(1, 3)
@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.case(4))])
def test_tries_several(number):
    pass


@pytest.mark.case(5)
def test_fails():
    assert 1 == 2


@pytest.fixture
def broken():
    raise OSError


@pytest.mark.case(6)
def test_cannot_be_set_up(broken):
    pass


@pytest.mark.case(7)
def test_fails_elsewhere():
    with silent_if_wrong():
        assert 1 == 1
    assert 1 == 2


@pytest.mark.case(8)
def test_is_silently_wrong():
    with silent_if_wrong():
        assert 1 == 2


@pytest.mark.case(9)
@pytest.mark.xfail
def test_is_known_to_fail():
    assert 1 == 2


def test_tries_no_case():
    raise AssertionError
"""

VERDICTS = {
    1: "passed", 2: "skipped", 3: "passed", 4: "passed", 5: "FAILED", 6: "FAILED", 7: "FAILED", 8: "SILENTLY WRONG",
    9: "skipped", 10: "skipped", 11: "FAILED", 12: "untried",
}  # fmt: skip


def board(folder, *words):
    """Exit code and lines of a board over a folder of tests."""
    command = [sys.executable, "-m", "tests.reliability", "--tests", str(folder), "--trials", "7", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    (folder / "test_tried.py").write_text(TRIED)
    skipped = "import pytest\npytest.importorskip('not_there')\n@pytest.mark.case(10)\ndef test_it(): pass\n"
    (folder / "test_skipped_as_a_whole.py").write_text(skipped)
    (folder / "test_broken.py").write_text("import not_there, pytest\n@pytest.mark.case(11)\ndef test_it(): pass\n")
    return folder


def test_each_case_stands_as_its_tests_say(folder):
    code, lines = board(folder)
    assert code == 1
    rows = [line for line in lines if line[:2].strip().isdigit() and line[3:4] in "ABC"]
    assert [int(row[:2]) for row in rows] == list(CASES)
    assert {number: rows[number - 1][5:19].strip() for number in VERDICTS} == VERDICTS
    assert lines[-1].startswith("passed 3/60  tier A 3/45  tier B 0/14  tier C 0/1  silent_wrong 1  ")


@pytest.mark.parametrize(("case", "expected"), [(4, 0), (12, 1)])
def test_a_single_case_can_be_asked_for(folder, case, expected):
    code, lines = board(folder, "--case", str(case))
    assert code == expected
    assert [line for line in lines if f" s  {CASES[case].promise}" in line] == lines[-2:-1]
    assert lines[-1].startswith(f"passed {int(case == 4)}/1")
