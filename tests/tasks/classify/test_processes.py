"""Processes that share a classification do every unit once, and write one table."""

import csv

import pytest
from together import codes, start, together

from dnadiff.explain import explain
from dnadiff.tasks.classify import run

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def table(out):
    with (out / "table.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return [{name: cell for name, cell in row.items() if "minutes" not in name} for row in rows]


def test_two_processes_share_the_units(plan, strict, tiny, tmp_path):
    few = strict.model_copy(update={"baselines": ("majority",)})
    run.run(plan(few, tiny, tmp_path / "one"))
    together(lambda rank: run.run(plan(few, tiny, tmp_path / "two")), folder=tmp_path)
    assert table(tmp_path / "two") == table(tmp_path / "one")
    predictions = [sorted(path.rglob("predictions.tsv")) for path in (tmp_path / "one", tmp_path / "two")]
    assert [path.read_bytes() for path in predictions[0]] == [path.read_bytes() for path in predictions[1]]
    assert len(predictions[0]) == 4
    assert "accuracy" in (tmp_path / "0.txt").read_text()
    assert "accuracy" not in (tmp_path / "1.txt").read_text()


def test_nobody_works_in_a_folder_of_other_settings(plan, strict, tiny, tmp_path):
    (tmp_path / "config.yaml").write_text("seeds: 99\n")

    def work(rank):
        try:
            run.run(plan(strict, tiny, tmp_path))
        except Exception as error:
            raise SystemExit(explain(error)) from None

    (tmp_path / "said").mkdir()
    assert codes(start(work, folder=tmp_path / "said"))[0] == [2, 3]
    assert not list(tmp_path.rglob("predictions.tsv"))
