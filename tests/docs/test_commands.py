"""Every command of the README and of the pages under docs/ is run on tiny data, where its files are.

What trains, or draws many pictures, is planned: with `--dry-run` it opens its data, and takes a step. Where data of
a benchmark would be needed, `--print-config` takes its words. Those that cannot be run at all are listed, and why.
"""

import re
import shlex
from pathlib import Path

import pytest

from dnadiff import cli
from dnadiff.tasks import reproduce

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
PROGRAMS = ("dnadiff", "make", "torchrun", "sbatch", "pip", "python")
NOT_RUN = {
    r"make (demo|test)|pip install .*": "needs a package index",
    r"torchrun .*|sbatch .*": "starts several processes, for which there are tests of their own",
    r"python -m tests\..*": "runs tests",
    r"dnadiff .*hf:.*": "reads the hub",
    r"dnadiff judge .*gpt2-large.*": "reads the hub",
    r"dnadiff zeroshot .*": "reads corpora that are downloaded",
    r"dnadiff .*--init (weights/|checkpoints/).*": "reads published weights",
}
SETTINGS_ONLY = {
    r"dnadiff classify .*": "has tests of its own that train",
    r"dnadiff train text/(owt|lm1b|text8).*": "reads corpora and tokenizers that are downloaded",
}
EXITS = {"--fail-on-leak": (0, 5)}


def commands(page):
    """Commands in the code blocks of a page, without what is said of them after two spaces or a #."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    text = re.sub(r"^```python$.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for line in re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE):
        joined = re.sub(r" {2,}(?=[-\w'\[]+[=.])| {2,}(?=--)", " ", line)  # where a long command was broken
        command = re.split(r" {2,}| #", joined)[0].strip()
        if command.split()[0] in PROGRAMS:
            yield command


ALL = [(page, command) for page in PAGES for command in commands(page)]


def listed(command, patterns):
    return any(re.fullmatch(pattern, command) for pattern in patterns)


def test_the_pages_have_commands_and_what_is_listed_is_there():
    assert len(ALL) > 60
    for pattern in [*NOT_RUN, *SETTINGS_ONLY]:
        assert any(re.fullmatch(pattern, command) for _, command in ALL), f"{pattern} is listed, and on no page"


@pytest.mark.parametrize(("page", "command"), [each for each in ALL if not listed(each[1], NOT_RUN)])
def test_a_command_does_what_the_page_says(page, command, place, small, monkeypatch, capsys):
    place(page)
    words = planned(shlex.split(command)[1:], small, monkeypatch, settings_only=listed(command, SETTINGS_ONLY))
    monkeypatch.setattr("sys.argv", ["dnadiff", *words])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    allowed = next((codes for word, codes in EXITS.items() if word in words), (0,))
    assert (exited.value.code or 0) in allowed, capsys.readouterr().err


def planned(words, small, monkeypatch, *, settings_only):
    """The words of a command, those that train as a plan of something small."""
    if settings_only:
        return [*[word if not word.startswith("runs/") else "none" for word in words], "--print-config"]
    match words[0]:
        case "train" | "finetune":
            if any(word.startswith("text/") for word in words):
                return [*words, *(word for word in small["text"] if not word.startswith("model.")), "--dry-run"]
            return [*words, *small["dna"], "--dry-run"]
        case "windows":
            return [*words, *small["dna"]]
        case "reproduce":
            monkeypatch.setattr(reproduce, "dry_run", lambda chosen, planned: "")  # which times a step of every row
            return [*words, "--dry-run"]
        case "judge" | "report":
            return [*words, "--dry-run"]
        case _:
            return words
