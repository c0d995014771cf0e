"""Without the extra for text every verb on text says which one to install, before it does anything; DNA needs none."""

import sys

import pytest
from glue_folders import write_task

from dnadiff import cli

pytest.importorskip("tokenizers", reason="the text extra is not installed")


def call(monkeypatch, capsys, words):
    """Exit code and last line of standard error of a command."""
    monkeypatch.setattr(sys, "argv", ["dnadiff", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    return stop.value.code, capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["train", "text/demo", "--out", "OUT"],
        ["finetune", "text/demo", "--init", "RUN", "--out", "OUT"],
        ["windows", "text/demo"],
        ["evaluate", "RUN", "--out", "OUT"],
        ["sample", "RUN", "--out", "OUT"],
        ["zeroshot", "RUN", "LIST", "--data", "CORPORA"],
        ["judge", "RUN", "--by", "RUN"],
        ["reproduce", "text-objectives", "--out", "OUT"],
        ["classify", "glue", "--data", "GLUE", "--out", "OUT"],
    ],
    ids=lambda words: words[0],
)
def test_a_verb_on_text_names_its_extra(words, text_run, text_corpus, tmp_path, monkeypatch, capsys):
    write_task(tmp_path / "glue", "CoLA")
    (tmp_path / "list.yaml").write_text(f"title: t\nsource: s\ncorpora: [{{name: Ours, path: {text_corpus.name}}}]\n")
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setattr("dnadiff.tasks.sample.draw", lambda *_: pytest.fail("drawn before it was found out"))
    places = {
        "RUN": text_run, "OUT": tmp_path / "out", "GLUE": tmp_path / "glue", "LIST": tmp_path / "list.yaml",
        "CORPORA": text_corpus.parent,
    }  # fmt: skip
    code, said = call(monkeypatch, capsys, [places.get(word, word) for word in words])
    assert (code, said) == (2, "dnadiff: text needs an extra: pip install 'dnadiff[text]'")


def test_a_verb_on_dna_needs_none(run, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setattr(sys, "argv", ["dnadiff", "sample", str(run), "-n", "1"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code in (0, None)
    assert capsys.readouterr().out.startswith(">sample_1 ")
