"""`dnadiff zeroshot`: a model of text on corpora that it was not trained on, beside published figures."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from pydantic import Field

from dnadiff import config
from dnadiff.config import Settings
from dnadiff.errors import InputError, nearest
from dnadiff.files import write_text
from dnadiff.tasks import evaluate

log = logging.getLogger("dnadiff")
FOLDER = "zeroshot"


class Corpus(Settings):
    """A corpus of the list."""

    name: str
    """In the table, and of its file of figures."""
    path: str
    """File or folder, inside the folder of all corpora."""
    program: str | None = None
    """The program of data_prep that gets it."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Dotted settings on top of the list's."""
    papers: Mapping[str, str] = Field(default_factory=dict)
    """Published figures by model, as printed."""


class ZeroShot(Settings):
    """A list of corpora, and how they are read."""

    title: str
    """What the figures are."""
    source: str
    """Where the published ones are from."""
    settings: Mapping[str, Any] = Field(default_factory=dict)
    """Dotted settings of every corpus."""
    corpora: tuple[Corpus, ...]
    """In the order of the table."""
    assumptions: tuple[str, ...] = ()
    """What is assumed where a paper is silent."""


def names() -> list[str]:
    """Lists that ship with the package."""
    return sorted(path.stem for path in (config.presets_folder() / FOLDER).glob("*.yaml"))


def read(name: str) -> ZeroShot:
    """A shipped list, or one from a YAML file.

    Raises:
        InputError: there is none of that name, or it makes no sense.
    """
    if name not in names() and not Path(name).is_file():
        raise InputError(f"no list of corpora {name!r}{nearest(name, names())}; there are: {', '.join(names())}")
    return config.resolve(ZeroShot, f"{FOLDER}/{name}" if name in names() else name)


def run(listed: ZeroShot, path: Path, corpora: Path, words: Sequence[str], out: Path) -> None:
    """Score every corpus that is there, as `measure` does, and print the table."""
    typer.echo(as_markdown(listed, measure(listed, path, corpora, words, out)))


def measure(listed: ZeroShot, path: Path, corpora: Path, words: Sequence[str], out: Path) -> dict[str, dict[str, Any]]:
    """Figures by corpus that is there; each is written, and zeroshot.md, after each; a second run goes on.

    Args:
        path: run or checkpoint folder.
        corpora: folder that holds the corpora.
        words: settings of every corpus, such as evaluate.max_windows=1000.
        out: folder to write.

    Raises:
        InputError: none of them is there, or the model is none of text.
    """
    results: dict[str, dict[str, Any]] = {}
    for corpus in present(listed, corpora):
        log.info("%s", corpus.name)
        settings = evaluate.settings_of(path, ["data.valid_documents=null", *words], _flags(listed, corpus, corpora))
        file = out / f"{re.sub('[^A-Za-z0-9]+', '-', corpus.name).lower()}.json"
        evaluate.run(settings, path, str(file))
        results[corpus.name] = json.loads(file.read_text())
        write_text(out / "zeroshot.md", as_markdown(listed, results))
    return results


def dry_run(listed: ZeroShot, path: Path, corpora: Path) -> str:
    """What `run` would score."""
    return f"{path}: {', '.join(corpus.name for corpus in present(listed, corpora))} in {corpora}"


def as_markdown(listed: ZeroShot, results: Mapping[str, Mapping[str, Any]]) -> str:
    """The table: our figure, then the published ones."""
    scored = [corpus for corpus in listed.corpora if corpus.name in results]
    models = list(dict.fromkeys(model for corpus in scored for model in corpus.papers))
    lines = [f"# {listed.title}", "", f"{listed.source}. Intervals are 95 %.", ""]
    lines += [f"| {' | '.join(['corpus', 'perplexity', 'bits per character', 'tokens', *models])} |"]
    lines += ["|---" * (4 + len(models)) + "|"]
    for corpus in scored:
        numbers = results[corpus.name]
        cells = [corpus.name, *figures(numbers), f"{numbers['n_scored']:,}"]
        lines.append(f"| {' | '.join([*cells, *(corpus.papers.get(model, '') for model in models)])} |")
    meanings = ", ".join(dict.fromkeys(str(numbers["meaning"]) for numbers in results.values()))
    absent = [corpus.name for corpus in listed.corpora if corpus.name not in results]
    lines += ["", f"Figures are of {meanings}."] + ([f"Not there: {', '.join(absent)}."] if absent else [])
    return "\n".join([*lines, "", "Assumed:", "", *(f"- {text}" for text in listed.assumptions), ""])


def present(listed: ZeroShot, corpora: Path) -> list[Corpus]:
    """Those whose files are there; the others are named with the program that gets them.

    Raises:
        InputError: none is there.
    """
    found = [corpus for corpus in listed.corpora if (corpora / corpus.path).exists()]
    for corpus in listed.corpora:
        if corpus not in found:
            mend = f"; python data_prep/{corpus.program} gets it" if corpus.program else ""
            log.warning("%s: %s is not there%s", corpora / corpus.path, corpus.name, mend)
    if not found:
        raise InputError(f"{corpora}: holds none of the corpora of this list; name their folder with --data")
    return found


def _flags(listed: ZeroShot, corpus: Corpus, corpora: Path) -> dict[str, Any]:
    return {**listed.settings, **corpus.settings, "data.path": str(corpora / corpus.path)}


def figures(numbers: Mapping[str, Any]) -> tuple[str, str]:
    """Perplexity per token and bits per character of what was scored, each with its interval."""
    perplexity = next(value for name, value in numbers.items() if "perplexity" in name)
    characters = next(value for name, value in numbers.items() if name.endswith("bits_per_character"))
    return _shown(perplexity, 2), _shown(characters, 3)


def _shown(figure: Mapping[str, float], digits: int) -> str:
    return f"{figure['value']:.{digits}f} [{figure['low']:.{digits}f}, {figure['high']:.{digits}f}]"
