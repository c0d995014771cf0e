"""A model of text on a list of corpora with one command."""

import json

import pytest

from dnadiff.errors import InputError
from dnadiff.tasks import evaluate, zeroshot

pytest.importorskip("tokenizers", reason="the text extra is not installed")
LIST = """
title: Two corpora
source: Nobody 2026, table 1
settings: {data.rows: {kind: wrapped, separators: false, bounds: false}, data.detokenizer: none}
corpora:
  - {name: Ours, path: ours.txt, papers: {AR: "20.1"}}
  - {name: Spaced out, path: spaced.txt, settings: {data.detokenizer: wikitext}, papers: {MDLM: "≤ 30.2"}}
  - {name: Absent, path: absent, program: absent.py}
assumptions: [Nothing is known.]
"""


@pytest.fixture
def corpora(tmp_path):
    (tmp_path / "ours.txt").write_text("\n".join(f"a dog {i} barks at a cat" for i in range(60)))
    (tmp_path / "spaced.txt").write_text("\n".join(f"a dog {i} , of course , barks @-@ it does ." for i in range(60)))
    (tmp_path / "list.yaml").write_text(LIST)
    return tmp_path


def test_every_corpus_that_is_there_is_scored_and_tabled(text_run, corpora, capsys, caplog):
    listed = zeroshot.read(str(corpora / "list.yaml"))
    out = corpora / "out"
    zeroshot.run(listed, text_run, corpora, ["evaluate.max_windows=4"], out)
    table = (out / "zeroshot.md").read_text()
    assert table in capsys.readouterr().out
    assert "python data_prep/absent.py gets it" in caplog.text
    assert "| Ours |" in table
    assert "Not there: Absent." in table
    assert "- Nothing is known." in table
    spaced = json.loads((out / "spaced-out.json").read_text())
    assert f"{spaced['perplexity']['value']:.2f} [" in table
    assert next(line for line in table.splitlines() if "Spaced out" in line).endswith("| ≤ 30.2 |")
    assert spaced["n_windows"] == 4

    alone = corpora / "alone.json"
    words = [
        f"data.path={corpora / 'spaced.txt'}", "data.detokenizer=wikitext", "data.valid_documents=null",
        "data.rows.separators=false", "data.rows.bounds=false", "evaluate.max_windows=4",
    ]  # fmt: skip
    evaluate.run(evaluate.settings_of(text_run, words, {}), text_run, str(alone))
    assert json.loads(alone.read_text())["perplexity"] == spaced["perplexity"]


@pytest.mark.parametrize("name", zeroshot.names())
def test_every_shipped_list_fits_a_model_of_text(name, text_run, tmp_path):
    listed = zeroshot.read(name)
    for corpus in listed.corpora:
        flags = {**listed.settings, **corpus.settings, "data.path": str(tmp_path / corpus.path)}
        settings = evaluate.settings_of(text_run, ["data.valid_documents=null"], flags)
        assert settings.data.rows.separators is False
        assert settings.data.valid_documents is None


def test_a_folder_without_any_and_a_list_that_is_none_are_refused(text_run, tmp_path):
    with pytest.raises(InputError, match=r"holds none of the corpora of this list; name their folder with --data"):
        zeroshot.run(zeroshot.read("mdlm"), text_run, tmp_path, [], tmp_path / "out")
    with pytest.raises(InputError, match=r"no list of corpora 'mdl' \(did you mean 'mdlm'\?\)"):
        zeroshot.read("mdl")
