import json

import pytest

from dnadiff.config import resolve, to_yaml
from dnadiff.errors import InputError
from dnadiff.tasks import evaluate, reproduce
from dnadiff.tasks.settings import TrainConfig

TINY = [
    "data.length=64", "train.batch_size=4", "train.max_steps=4", "train.valid_windows=2", "evaluate.max_windows=4",
    "evaluate.sweeps=2", "model.width=16", "model.n_layers=1", "model.n_states=2", "markov_order=1",
]  # fmt: skip
TABLE = """
title: Two objectives
source: Nobody 2026, table 1
preset: dna/toy
rows:
  - name: first
    settings: {objective.kind: mlm}
  - name: second
    settings: {objective.kind: mdlm, optim.lr: 2.0e-3}
    after: first
    paper: ≤ 3.2 ± 0.1
assumptions: [Nothing is known.]
"""

CORPORA = """
title: One corpus
source: Nobody 2026
settings: {data.rows: {kind: wrapped, separators: false, bounds: false}}
corpora: [{name: Ours, path: ours.txt}, {name: Absent, path: absent.txt}]
"""

TEXT_TABLE = """
title: One model
source: Nobody 2026, table 2
preset: text/demo
rows:
  - {name: trained, settings: {objective.first_time: 0.002}, paper: "1"}
  - {name: T-5, of: trained, settings: {evaluate.T: 5}, paper: "2"}
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(TABLE)
    return reproduce.read(str(path))


@pytest.mark.parametrize("name", reproduce.names())
def test_every_row_of_a_shipped_table_fits_its_settings(name, tmp_path):
    table = reproduce.read(name)
    planned = reproduce.plan(table, 1e-4, [], {}, tmp_path)
    full = resolve(TrainConfig, table.preset)
    assert all(settings.data.length == full.data.length for settings in planned)
    assert len({to_yaml(settings) for settings in planned}) == len(planned)


def test_scale_is_the_share_of_the_tokens(table, tmp_path):
    words = ["train.max_steps=400", "train.batch_size=80", "train.micro_batch=40"]
    ((_, whole), (_, tenth)) = (reproduce.plan(table, scale, words, {}, tmp_path) for scale in (1.0, 0.01))
    assert (whole.train.max_steps, whole.train.batch_size) == (400, 80)
    assert (tenth.train.max_steps, tenth.train.batch_size, tenth.train.micro_batch) == (40, 8, 8)
    assert tenth.optim == whole.optim


def test_a_dry_run_says_how_long_each_row_and_all_of_them_take(table, tmp_path, monkeypatch):
    times = iter([2.0, 3.5])
    timed = []
    monkeypatch.setattr(
        reproduce.train, "dry_run", lambda settings: timed.append(settings) or {"seconds_per_step": next(times)}
    )
    said = reproduce.dry_run(table, reproduce.plan(table, 1.0, TINY, {}, tmp_path)).splitlines()
    assert said[1:3] == [
        "first: mlm on caduceus, 4 steps of 4 windows, 1,024 bases, about 0:00:08",
        "second: mdlm on caduceus, 4 steps of 4 windows, 1,024 bases, about 0:00:14, after first",
    ]
    assert said[3].startswith("training of all rows on this CPU: about 0:00:22;")
    assert [settings.init for settings in timed] == ["none", "none"]


def test_rows_train_once_and_the_table_names_what_was_assumed(table, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    planned = reproduce.plan(table, 1.0, TINY, {}, out)
    reproduce.run(table, planned, out, scale=1.0)
    text = (out / "table.md").read_text()
    assert "| second | ≤ 3.2 ± 0.1 |" in text
    assert "| first" not in text
    assert "- Nothing is known." in text
    assert text in capsys.readouterr().out
    rows = json.loads((out / "table.json").read_text())
    assert [row["name"] for row in rows] == ["first", "second"]
    assert rows[1]["tokens"] == 4 * 4 * 64
    assert json.loads((out / "second" / "manifest.json").read_text())["parameters"] == rows[1]["parameters"]

    monkeypatch.setattr(reproduce.train, "run", lambda *_: pytest.fail("trained again"))
    reproduce.run(table, planned, out, scale=1.0)
    assert (out / "table.md").read_text() == text
    with pytest.raises(InputError, match=r"max_steps was 4, is 5"):
        reproduce.run(table, reproduce.plan(table, 1.0, [*TINY, "train.max_steps=5"], {}, out), out, scale=1.0)


def test_a_table_that_does_not_exist_or_hang_together_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no table 'hg38-tabel' \(did you mean 'hg38-table'\?\)"):
        reproduce.read("hg38-tabel")
    path = tmp_path / "wrong.yaml"
    path.write_text(TABLE.replace("after: first", "after: third"))
    with pytest.raises(InputError, match=r"row 'second' starts from 'third', which is no row above it"):
        reproduce.read(str(path))
    path.write_text(TABLE.replace("after: first", "of: second"))
    with pytest.raises(InputError, match=r"row 'second' measures 'second', which is no trained row above it"):
        reproduce.read(str(path))
    path.write_text(TABLE.replace("after: first", "of: first"))
    with pytest.raises(InputError, match=r"row 'second' measures a trained model; it can only set evaluate\.\*"):
        reproduce.read(str(path))


def test_rows_of_text_are_scored_on_corpora_that_they_have_not_seen(tmp_path, text_words, text_corpus, caplog):
    pytest.importorskip("tokenizers", reason="the text extra is not installed")
    (tmp_path / "list.yaml").write_text(CORPORA)
    (tmp_path / "ours.txt").write_text("\n".join(f"a dog {i} barks at a cat" for i in range(60)))
    (tmp_path / "text.yaml").write_text(TEXT_TABLE + f"zeroshot: {tmp_path / 'list.yaml'}\n")
    table, out = reproduce.read(str(tmp_path / "text.yaml")), tmp_path / "out"
    planned = reproduce.plan(table, 1.0, [*text_words, f"data.path={text_corpus}"], {}, out)
    with pytest.raises(InputError, match="nowhere: holds none of the corpora of this list"):
        reproduce.run(table, planned, out, scale=1.0, corpora=tmp_path / "nowhere")
    assert not out.exists()
    reproduce.run(table, planned, out, scale=1.0, corpora=tmp_path)
    assert caplog.text.count("Absent is not there") == 2  # of the refused run above, and once of all rows
    numbers = json.loads((out / "trained" / "zeroshot" / "ours.json").read_text())
    text = (out / "table.md").read_text()
    assert "| model | Ours |" in text
    assert text.count(f"| trained | {numbers['perplexity']['value']:.2f} [") == 1
    assert "| T-5 | " in text.partition("Zero-shot")[0]
    assert "T-5" not in text.partition("Zero-shot")[2]
    assert json.loads((out / "table.json").read_text())[0]["zeroshot"] == {"Ours": numbers}
    reproduce.run(table, planned, out, scale=1.0)
    assert "Zero-shot" not in (out / "table.md").read_text()
    with pytest.raises(InputError, match=r"this table has no list of corpora \(zeroshot: NAME\); leave --data out"):
        reproduce.run(table.model_copy(update={"zeroshot": None}), planned, out, scale=1.0, corpora=tmp_path)


def test_a_row_of_text_is_measured_again_in_other_ways(tmp_path, text_words, text_corpus, capsys):
    pytest.importorskip("tokenizers", reason="the text extra is not installed")
    (tmp_path / "text.yaml").write_text(TEXT_TABLE)
    table = reproduce.read(str(tmp_path / "text.yaml"))
    planned = reproduce.plan(table, 1.0, [*text_words, f"data.path={text_corpus}"], {}, tmp_path)
    assert [settings.evaluate.T for settings in planned] == [None, 5]
    assert planned[0].objective == planned[1].objective
    reproduce.run(table, planned, tmp_path, scale=1.0)
    text = (tmp_path / "table.md").read_text()
    assert "| model | paper | bits per token | perplexity | parameters | tokens |" in text
    assert "Unigrams on the same windows" in text
    trained, again = json.loads((tmp_path / "table.json").read_text())
    assert again["parameters"] == trained["parameters"]
    assert again["numbers"]["evaluate"]["T"] == 5
    alone = tmp_path / "alone.json"
    evaluate.run(evaluate.settings_of(tmp_path / "trained", ["evaluate.T=5"], {}), tmp_path / "trained", str(alone))
    assert json.loads(alone.read_text())["perplexity"] == again["numbers"]["perplexity"]
    assert "the model of trained, evaluate.T=5" in reproduce.dry_run(table, planned)
