"""Every command of docs/classification.md is one that the command line takes."""

import re
import sys
from pathlib import Path

import pytest

from dnadiff import cli

PAGE = (Path(__file__).parents[2] / "docs" / "classification.md").read_text(encoding="utf-8")
COMMANDS = [
    " ".join(found.partition("#")[0].split())
    for found in re.findall(r"^ {4}dnadiff (classify .*)$", PAGE.replace("\\\n", " "), re.MULTILINE)
]


def test_the_page_has_commands():
    assert len(COMMANDS) > 4


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page_is_understood(command, monkeypatch, capsys):
    words = re.sub(r"--init \S+", "--init none", command).split()  # there is no such run here
    monkeypatch.setattr(sys, "argv", ["dnadiff", *words, "--print-config"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    captured = capsys.readouterr()
    assert exited.value.code in (0, None), captured.err
    assert "protocol:" in captured.out
