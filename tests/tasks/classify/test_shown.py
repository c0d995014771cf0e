"""Names of classes and sets that a spreadsheet would obey; warnings that must be found again."""

import csv
import json

import pytest

from dnadiff.tasks.classify import run, units

NAMES = {"poor": "=cmd()", "rich": "@rich|"}


@pytest.fixture(scope="module")
def finished(plan, quick, tiny, tmp_path_factory):
    """The small set under hostile names, with a row that repeats another."""
    folder = tmp_path_factory.mktemp("sets") / "@set"
    folder.mkdir()
    for part in ("train", "test"):
        text = (tiny / f"{part}.csv").read_text()
        for plain, hostile in NAMES.items():
            text = text.replace(plain, hostile)
        (folder / f"{part}.csv").write_text(text + text.splitlines()[1] + "\n")
    out = tmp_path_factory.mktemp("out") / "run"
    run.run(plan(quick, folder, out))
    return out


def cells(path):
    with path.open(newline="") as file:
        return [cell for row in csv.reader(file, delimiter="\t") for cell in row]


@pytest.mark.case(58)
def test_tables_hold_nothing_that_is_obeyed(finished):
    tables = [finished / "table.tsv", *finished.rglob("predictions.tsv")]
    assert len(tables) > 3
    for path in tables:
        assert all(cell.isprintable() and not cell.startswith(("=", "@", "+")) for cell in cells(path))
    assert {"'=cmd()", "'@rich|"} <= set(cells(tables[1]))


@pytest.mark.case(58)
def test_what_is_escaped_is_read_back(finished, quick):
    (unit, *_) = units.planned(quick, "@set")
    found = units.read(finished, unit)
    assert found.facts["classes"] == sorted(NAMES.values())
    assert set(found.predictions.label.tolist()) == {0, 1}


def test_warnings_are_in_the_manifest(finished):
    warnings = json.loads((finished / "manifest.json").read_text())["warnings"]
    (told,) = warnings
    assert told.endswith("2 rows repeat another, 0 of them in another class")
    assert warnings[told] == 1
