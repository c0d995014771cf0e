"""The verb: what it writes, and what it says of bad input."""

import csv
import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dnadiff import cli
from dnadiff.config import shipped
from dnadiff.errors import InputError
from dnadiff.inference.draws import Shard
from dnadiff.inference.estimate import Interval
from dnadiff.inference.scores import Figure
from dnadiff.tasks.classify import methods, run, units
from dnadiff.tasks.classify.opened import HIDDEN
from dnadiff.tasks.classify.pictures import draw
from dnadiff.tasks.classify.settings import resolve
from dnadiff.tasks.classify.table import Row, as_markdown


def table(out) -> dict[str, dict[str, str]]:
    with (out / "table.tsv").open() as file:
        return {row["model"]: row for row in csv.DictReader(file, delimiter="\t")}


@pytest.fixture(scope="module")
def finished(plan, strict, tiny, tmp_path_factory):
    """All methods on two folds."""
    out = tmp_path_factory.mktemp("out") / "run"
    run.run(plan(strict, tiny, out))
    return out


@pytest.mark.case(48)
def test_every_method_has_its_units_and_its_line(finished, strict):
    units_of = {path.name: len(list(path.glob("fold-*"))) for path in (finished / "tiny").iterdir() if path.is_dir()}
    assert units_of == {"finetune": 2, "majority": 2, "kmers": 2, "cnn": 2, "permuted": 1, "plots": 0}
    rows = table(finished)
    model = next(name for name in rows if name.startswith("Caduceus of "))
    assert model.endswith("trained from random weights")
    assert float(rows["k-mers, logistic regression"]["accuracy"]) > 0.9
    assert float(rows["majority class"]["accuracy"]) == pytest.approx(0.5, abs=0.05)
    assert float(rows["majority class"]["auroc"]) == 0.5
    for row in rows.values():
        assert float(row["mcc_low"]) <= float(row["mcc"]) <= float(row["mcc_high"])
    assert rows[model]["test_rows"] == "80"
    assert rows[model]["learnt_from"] == "40 of 40 rows, epochs: 1"


def test_the_folder_says_what_was_done(finished, strict):
    manifest = json.loads((finished / "manifest.json").read_text())
    assert manifest["assumptions"] == list(strict.assumptions)
    assert {"versions", "machine", "command", "sets"} <= manifest.keys()
    text = (finished / "table.md").read_text()
    assert "Protocol: strict" in text
    assert all(f"- {line}" in text for line in strict.assumptions)
    assert {path.name for path in (finished / "tiny" / "plots").iterdir()} == {"confusion.png", "roc.png"}
    assert "accuracy" in (finished / "log.txt").read_text()


def test_predictions_name_every_row_once_with_its_class_and_probabilities(finished):
    rows = []
    for fold in (1, 2):
        with (finished / f"tiny/finetune/fold-{fold}.seed-1/predictions.tsv").open() as file:
            rows += list(csv.DictReader(file, delimiter="\t"))
    assert len({row["row"] for row in rows}) == len(rows) == 80
    assert {row["row"] for row in rows} == {
        f"{part}.csv:{i}" for part, n in [("train", 60), ("test", 20)] for i in range(2, n + 2)
    }
    for row in rows:
        odds = {name: float(row[f"p({name})"]) for name in ("poor", "rich")}
        assert sum(odds.values()) == pytest.approx(1, abs=2e-6)
        assert row["predicted"] == max(odds, key=odds.get)
        assert row["related"] == "0"


def test_the_model_of_a_unit_repeats_its_predictions(finished):
    from dnadiff import Classifier

    unit = finished / "tiny/finetune/fold-1.seed-1"
    model = Classifier.load(unit / "model")
    assert model.classes_.tolist() == ["poor", "rich"]
    with (unit / "predictions.tsv").open() as file:
        expected = {row["row"]: float(row["p(rich)"]) for row in csv.DictReader(file, delimiter="\t")}
    sources = json.loads((finished / "manifest.json").read_text())["sets"]["tiny"]
    names = list(expected)[:5]
    texts = []
    for name in names:
        file, line = name.split(":")
        texts.append((Path(sources) / file).read_text().splitlines()[int(line) - 1].split(",")[0])
    found = model.predict_proba(texts)[:, 1]
    assert found.tolist() == pytest.approx([expected[name] for name in names], abs=2e-6)


def test_the_same_command_again_runs_nothing_and_gives_the_same_table(
    finished, plan, strict, tiny, monkeypatch, capsys
):
    run.run(plan(strict, tiny, finished))  # with as many draws as the next time
    before = (finished / "table.md").read_text()
    capsys.readouterr()
    monkeypatch.setattr(methods, "run", lambda *_: pytest.fail("a finished unit was run again"))
    run.run(plan(strict, tiny, finished))
    assert (finished / "table.md").read_text() == before
    assert before in capsys.readouterr().out


@pytest.mark.case(48)
def test_permuted_classes_are_at_chance_over_permutations(plan, quick, tiny, tmp_path):
    run.run(plan(quick, tiny, tmp_path / "run", baselines=("majority", "permuted"), permutations=10))
    control = table(tmp_path / "run")["control: permuted labels"]
    assert control["units"] == "10"
    assert float(control["mcc_low"]) <= 0 <= float(control["mcc_high"])


@pytest.mark.case(48)
@pytest.mark.parametrize("preset", [name for name in shipped() if name.startswith("classify/")])
def test_every_published_protocol_has_the_majority_and_permuted_classes_beside_it(preset):
    assert {"majority", "permuted"} <= set(resolve(preset, [], {}).baselines)


@pytest.mark.case(48)
def test_a_control_that_is_not_at_chance_is_told(strict):
    said = "tiny: the MCC of the control, 0.900, is not at chance"
    good = Figure(Interval(0.9, 0.8, 1.0), 0.0)
    scores = dict.fromkeys(("accuracy", "mcc", "auroc", "auprc"), good)
    row = Row("tiny", "control: permuted labels", scores, 3, 3, 20, "60 of 60 rows", 0.1)
    assert said in as_markdown(strict, [row])
    at_chance = scores | {"mcc": Figure(Interval(0.1, -0.1, 0.3), 0.0)}
    for other in (row._replace(model="small CNN"), row._replace(n_done=1), row._replace(figures=at_chance)):
        assert said.partition(",")[0] not in as_markdown(strict, [other])


@pytest.mark.case(49)
def test_methods_do_not_see_the_classes_that_they_are_tested_on(plan, quick, quick_paper, tiny, tmp_path, monkeypatch):
    seen = []

    def spy(method, task):
        seen.append(task)
        return original(method, task)

    original = methods.run
    monkeypatch.setattr(methods, "run", spy)
    for settings in (quick, quick_paper):
        run.run(plan(settings, tiny, tmp_path / settings.protocol.kind))
    assert len(seen) == 12
    for task in seen:
        label = task.data.examples.label
        assert set(label[task.fold.test]) == {HIDDEN}
        assert set(label[np.concatenate([task.fold.train, task.fold.valid])]) == {0, 1}


def test_more_than_two_classes_have_a_curve_each(finished, strict, tmp_path):
    result = units.read(finished, units.planned(strict, "tiny")[0])
    label = result.predictions.label + 1
    predictions = result.predictions._replace(label=label, probabilities=np.eye(3)[label])
    three = replace(result, facts={**result.facts, "classes": ["a", "b$", "c"]}, predictions=predictions)
    draw(tmp_path, "tiny", "finetune", {"finetune": [three]})
    assert {path.name for path in tmp_path.iterdir()} == {"confusion.png", "roc.png"}


def test_other_settings_or_other_rows_in_the_folder_are_refused(finished, plan, strict, tiny, tmp_path):
    with pytest.raises(InputError, match=r"holds a run with other settings \(scale was 1\.0, is 0\.5\)"):
        run.run(plan(strict, tiny, finished, scale=0.5))
    other = tmp_path / "tiny"
    other.mkdir()
    for part in ("train", "test"):
        text = (tiny / f"{part}.csv").read_text()
        (other / f"{part}.csv").write_text(text.replace("A", "T", 1))
    with pytest.raises(InputError, match="is of other rows than are given now; restore them, or choose another --out"):
        run.run(plan(strict, other, finished))


def test_the_papers_protocol_keeps_the_official_test_rows_and_tells_related_ones(plan, quick_paper, tiny, tmp_path):
    leaky = tmp_path / "leaky"
    leaky.mkdir()
    train = (tiny / "train.csv").read_text()
    (leaky / "train.csv").write_text(train)
    (leaky / "test.csv").write_text((tiny / "test.csv").read_text() + "\n".join(train.splitlines()[1:6]) + "\n")
    out = tmp_path / "run"
    run.run(plan(quick_paper, leaky, out))
    results = [units.read(out, unit) for unit in units.planned(quick_paper, "leaky")]
    assert all(len(result.names) == 25 for result in results)
    assert all(name.startswith("test.csv:") for result in results for name in result.names)
    assert {(result.unit.fold, result.unit.seed) for result in results} == {(1, 1), (1, 2)}
    assert {int(result.is_related.sum()) for result in results} == {5}
    assert table(out)["on unrelated test rows"]["test_rows"] == "20"


def test_papers_figures_stand_beside_ours(plan, quick, tiny, tmp_path):
    named = tmp_path / "human_nontata_promoters"
    named.symlink_to(tiny)
    out = tmp_path / "run"
    run.run(plan(quick, named, out))
    lines = (out / "table.md").read_text().splitlines()
    ours = next(line for line in lines if "paper: MDLM 467K" in line)
    assert ours.startswith("| human_nontata_promoters | paper: MDLM 467K | 0.940 | 0.007 |")
    assert sum("paper: " in line for line in lines) == 11


@pytest.mark.parametrize("protocol", ["paper", "strict"])
def test_the_command_line_from_end_to_end(protocol, tiny, tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"
    words = [str(tiny), "--protocol", protocol, "--probe", "--scale", "0.5", "--out", str(out), "model.width=8"]
    words += ["model.n_layers=1", "length=69", "baselines=[majority]"]
    for more, expected in [
        (["--print-config"], "method: probe"),
        (["--dry-run"], r"tiny: 2 classes, .* to learn from, .* units, 0 of them finished"),
        ([], r"linear probe of random weights .* of \d+ rows"),
        (["--dry-run"], r"units, (5|10) of them finished"),
    ]:
        monkeypatch.setattr(sys, "argv", ["dnadiff", "classify", *words, *more])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        captured = capsys.readouterr()
        assert exited.value.code in (0, None), captured.err
        assert re.search(expected, captured.out)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.csv"], "nowhere.csv: cannot be read"),
        (["genomic_benchmarks", "--data", "nowhere"], "nowhere: no such folder; get the sets with `python data_prep/"),
        (["SET", "--data", "x"], "--data x: is for genomic_benchmarks; SET is a path of its own, leave --data out"),
        (["SET", "--init", "nowhere"], "nowhere: no such folder; name a run folder or a checkpoint folder"),
        (["SET", "--protocol", "paper", "--folds", "3"], "protocol.folds: kind 'paper' has no such setting"),
        (["SET", "--folds", "90"], "80 rows are fewer than 90 folds; use fewer folds, or add rows"),
        (["SET", "train.epoch=3"], "train.epoch: unknown setting (did you mean 'epochs'?)"),
        (
            ["TABLE", "--protocol", "paper", "length=69"],
            "has no test part, which the paper's protocol needs; use --protocol strict",
        ),
    ],
)
def test_bad_input_is_one_line(words, message, tiny, tmp_path, capsys, monkeypatch):
    words = [word.replace("SET", str(tiny)).replace("TABLE", str(tiny / "train.csv")) for word in words]
    monkeypatch.setattr(sys, "argv", ["dnadiff", "classify", *words, "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    error = capsys.readouterr().err.strip().splitlines()
    assert exited.value.code == 2
    assert message.replace("SET", str(tiny)) in error[-1]


def test_sets_of_a_folder_that_cannot_be_read_are_passed_over(quick, tiny, tmp_path, caplog):
    (tmp_path / "sets" / "lists" / "train").mkdir(parents=True)
    for label in "ab":
        text = "id,region,start,end,strand\n0,chr1,0,9,+\n"
        (tmp_path / "sets" / "lists" / "train" / f"{label}.csv").write_text(text)
    (tmp_path / "sets" / "tiny").symlink_to(tiny)
    sets, whole = run.find("genomic_benchmarks", str(tmp_path / "sets"), quick)
    assert (list(sets), whole) == (["lists", "tiny"], True)
    out = tmp_path / "run"
    run.run(run.Plan(quick, sets, whole, out, Shard(1, 1)))
    assert "lists places; give their genome with --ref" in caplog.text
    assert {row["set"] for row in table(out).values()} == {"tiny"}
