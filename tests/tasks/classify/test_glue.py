"""GLUE by the machinery of DNA: every task's own figures, networks that are kept, numbers and their correlations."""

import csv
import json
import sys

import numpy as np
import pytest
import torch
from glue_folders import write_task

from dnadiff import Classifier, checkpoint, cli
from dnadiff.data.labelled.glue import TASKS, read_rows
from dnadiff.data.text.tokenizer import KEPT
from dnadiff.errors import InputError
from dnadiff.run import find_checkpoint
from dnadiff.tasks.classify import methods, network, run, units
from dnadiff.tasks.classify.opened import open_for
from dnadiff.tasks.classify.settings import resolve

SMALL = [
    "model.width=16", "model.n_blocks=1", "model.n_heads=2", "train.epochs=4", "train.batch_size=8", "optim.lr=0.02",
    "data.vocab_size=300",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All eight tasks."""
    found = tmp_path_factory.mktemp("glue")
    for name in TASKS:
        write_task(found, name)
    return found


@pytest.fixture(scope="module")
def small():
    return resolve("classify/glue", SMALL, {})


@pytest.fixture(scope="module")
def finished(folder, small, tmp_path_factory):
    """Every task by two linear models: nothing is trained."""
    sets, whole = run.find("glue", str(folder), small)
    out = tmp_path_factory.mktemp("out") / "run"
    settings = small.model_copy(update={"method": "probe", "baselines": ("majority",)})
    run.run(run.Plan(settings, sets, whole, out, run.Shard(1, 1)))
    return out


def lines(out, name: str) -> list[list[str]]:
    table = [line.strip("| ").split(" | ") for line in (out / "table.md").read_text().splitlines()]
    return [cells for cells in table if cells[0] == name]


def rows(out) -> dict[tuple[str, str], dict[str, str]]:
    with (out / "table.tsv").open() as file:
        return {(row["set"], row["model"]): row for row in csv.DictReader(file, delimiter="\t")}


def test_every_task_has_its_own_figures(finished, small):
    header = lines(finished, "set")[0]
    assert header[2:8] == ["accuracy", "max - min", "F1", "MCC", "Spearman", "Pearson"]
    titles = {"accuracy": "accuracy", "f1": "F1", "mcc": "MCC", "spearman": "Spearman", "pearson": "Pearson"}
    for name in TASKS:
        first = lines(finished, name)[0]
        shown = {title for title in titles.values() if first[header.index(title)].strip()}
        assert shown == {titles[figure] for figure in small.of_set(name).figures}
    of_cola = next(cells for cells in lines(finished, "CoLA") if cells[1] == "paper: BERT (MDLM)")
    assert of_cola[header.index("MCC")] == "0.5481"


def test_both_parts_of_mnli_are_given_apart(finished):
    found = {model: row for (name, model), row in rows(finished).items() if name == "MNLI"}
    probe = next(row for model, row in found.items() if model.endswith("of random weights"))
    matched, mismatched = found["on dev_matched"], found["on dev_mismatched"]
    assert (probe["test_rows"], matched["test_rows"], mismatched["test_rows"]) == ("12", "6", "6")
    mean = (float(matched["accuracy"]) + float(mismatched["accuracy"])) / 2
    assert float(probe["accuracy"]) == pytest.approx(mean, abs=1e-6)


def test_a_number_is_predicted_by_correlation_and_read_back(finished, small):
    unit = units.Unit("STS-B", "probe", 1, 1)
    result = units.read(finished, unit)
    assert result.predictions.probabilities.shape == (6, 1)
    assert result.predictions.label.tolist() == [0.0, 5.0] * 3
    assert result.facts["spearman"] > 0.8
    assert rows(finished)["STS-B", "majority class"]["pearson"] == "0.000000"
    with (unit.folder(finished) / "predictions.tsv").open() as file:
        first = next(csv.DictReader(file, delimiter="\t"))
    assert list(first) == ["row", "group", "related", "number", "predicted"]
    assert first["row"] == "dev.tsv:2"


@pytest.mark.parametrize("name", ["CoLA", "STS-B"])
def test_a_network_is_fine_tuned_and_kept_with_its_tokenizer(name, folder, small, tmp_path):
    sets, whole = run.find(f"glue/{name}", str(folder), small)
    settings = small.model_copy(update={"baselines": ("permuted",)})
    run.run(run.Plan(settings, sets, whole, tmp_path / "run", run.Shard(1, 1)))
    kept = tmp_path / "run" / name / "finetune" / "fold-1.seed-1"
    facts = json.loads((kept / "result.json").read_text())
    assert facts["mcc" if name == "CoLA" else "pearson"] > 0.9
    model = checkpoint.load_classifier(kept / "model")
    data = open_for(settings, sets[name])
    assert (kept / "model" / KEPT).read_text() == data.files[KEPT]
    test = data.fold(settings, 1, 1).test
    with torch.no_grad():
        said = model(data.examples.batch(test, network.layout_of(settings.head, data.length)))
    again = units.read(tmp_path / "run", units.planned(settings, name)[0]).predictions.probabilities
    expected = torch.softmax(said, -1) if name == "CoLA" else said
    assert np.allclose(again, expected.numpy(), atol=2e-6)
    if name == "STS-B":
        with pytest.raises(InputError, match="predicts a number and no classes; open it with"):
            Classifier.load(kept / "model")
        return
    texts = [row for (row,) in read_rows(sets[name] / "dev.tsv", TASKS[name]).texts]
    assert np.allclose(Classifier.load(kept / "model").predict_proba(texts), again, atol=2e-6)


def test_what_is_tested_on_is_hidden_also_where_it_is_a_number(folder, small, monkeypatch, tmp_path):
    seen, original = [], methods.run

    def spy(method, task):
        seen.append(task)
        return original(method, task)

    monkeypatch.setattr(methods, "run", spy)
    sets, whole = run.find("glue/STS-B", str(folder), small)
    settings = small.model_copy(update={"method": "probe", "baselines": ("majority",)})
    run.run(run.Plan(settings, sets, whole, tmp_path / "run", run.Shard(1, 1)))
    assert len(seen) == 2
    for task in seen:
        label = task.data.examples.label
        assert np.isnan(label[task.fold.test]).all()
        assert np.isfinite(label[np.concatenate([task.fold.train, task.fold.valid])]).all()


def test_a_run_on_text_brings_network_and_tokenizer(text_run, folder):
    settings = resolve("classify/glue", [], {"init": str(text_run)})
    source = find_checkpoint(text_run)
    assert settings.data.tokenizer == str(source / KEPT)
    data = open_for(settings, folder / "RTE")
    assert data.vocab == checkpoint.read_vocab(source)
    model = network.build(settings, data.classes, data.length, seed=0, vocab=data.vocab)
    trained = checkpoint.load(source).network.state_dict()
    assert all(torch.equal(model.network.state_dict()[name], tensor) for name, tensor in trained.items())
    other = settings.model_copy(update={"data": settings.data.model_copy(update={"tokenizer": "characters"})})
    data = open_for(other, folder / "RTE")
    with pytest.raises(InputError, match=r"has another vocabulary than data\.tokenizer's; leave that out, or --init"):
        network.build(other, data.classes, data.length, seed=0, vocab=data.vocab)


def test_text_has_no_opposite_strand_to_read(small, folder):
    words = ["head.strands=both", "train.reverse_complement=true"]
    settings = resolve("classify/glue", [*SMALL, *words], {})
    data = open_for(settings, folder / "CoLA")
    model = network.build(settings, data.classes, data.length, seed=0, vocab=data.vocab)
    assert not model.reads_both


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["glue", "--data", "nowhere"], "nowhere: no such folder; name that of GLUE's tasks with --data"),
        (["glue/Cola", "--data", "GLUE"], "has no set 'Cola' (did you mean 'CoLA'?); there are CoLA, SST-2"),
        (["glue", "--data", "GLUE", "--protocol", "strict"], "--protocol strict: is not glue, or a YAML file"),
        (["rows.csv", "--protocol", "glue"], "--protocol glue: is not strict, paper, or a YAML file"),
        (["glue", "baselines=[kmers]"], "baselines: kmers are of DNA; leave them out for GLUE"),
        (["glue", "--folds", "3"], "protocol.folds: kind 'paper' has no such setting"),
    ],
)
def test_bad_input_is_one_line(words, message, folder, tmp_path, capsys, monkeypatch):
    words = [word.replace("GLUE", str(folder)) for word in words]
    monkeypatch.setattr(sys, "argv", ["dnadiff", "classify", *words, "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    error = capsys.readouterr().err.strip().splitlines()
    assert exited.value.code == 2
    assert message in error[-1]


def test_the_command_line_from_end_to_end(folder, tmp_path, capsys, monkeypatch):
    words = ["glue/MRPC", "--data", str(folder), "--probe", "baselines=[majority]", "--out", str(tmp_path / "run")]
    for more, expected in [
        (["--dry-run"], "MRPC: 2 classes, 22 to learn from, 2 to choose by, 6 to test on"),
        ([], "F1"),
    ]:
        monkeypatch.setattr(sys, "argv", ["dnadiff", "classify", *words, *SMALL, *more])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        captured = capsys.readouterr()
        assert exited.value.code in (0, None), captured.err
        assert expected in captured.out
