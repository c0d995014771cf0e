"""The notebooks run as they stand, cell by cell, on tiny data in place of their parameters."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib import pyplot

FOLDER = Path(__file__).parents[2] / "notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def read(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


@pytest.fixture
def parameters(run, genome, small_words, text_corpus, text_words, tmp_path):
    """What each notebook is given in place of what its parameters name."""
    return {
        "quickstart": {
            "RUN": tmp_path / "run",
            "SETTINGS": [*small_words, f"data.ref={genome}"],
            "N_SAMPLES": 12,
            "LENGTH": 64,
        },
        "variants": {"RUN": run, "GENOME": genome, "REGION": ("chrC", 700, 770)},
        "design": {"RUN": run, "N": 2, "LENGTH": 30, "PARTICLES": 2, "STEPS": 4},
        "text": {"RUN": tmp_path / "run", "SETTINGS": [*text_words, f"data.path={text_corpus}"], "LENGTH": 12},
    }


def test_there_are_notebooks():
    assert NAMES == ["design", "quickstart", "text", "variants"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_kept_without_what_it_printed(name):
    book = read(name)
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book["cells"])


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name, parameters, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    with mpl.rc_context({"backend": "agg"}):
        for cell in read(name)["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), f"{name}, {cell['id']}", "exec"), namespace)
            if "parameters" in cell["metadata"].get("tags", ()):
                assert parameters[name].keys() <= namespace.keys()
                namespace |= parameters[name]
        pyplot.close("all")
