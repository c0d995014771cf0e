"""A model that is told a class, from the BED file to the FASTA file."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from Bio import SeqIO

import dnadiff
from dnadiff.config import resolve
from dnadiff.errors import InputError
from dnadiff.tasks import evaluate, sample, train
from dnadiff.tasks.settings import SampleSettings, TrainConfig

SMALL = [
    "model.width=16", "model.n_layers=1", "model.n_states=2", "data.length=64", "data.split.kind=chromosome",
    "data.split.valid=[chrB]", "data.split.test=[chrC]", "train.max_steps=40", "train.batch_size=16", "optim.lr=2e-2",
    "train.validate_every=40", "train.checkpoint_every=40", "train.valid_windows=4", "evaluate.max_windows=8",
    "evaluate.sweeps=2", "sample.n=2", "sample.length=64", "sample.sampler.steps=4", "markov_order=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Stretches of 250 bases, rich in A and T or in C and G by turns, and a table of them."""
    folder, generator = tmp_path_factory.mktemp("striped"), np.random.default_rng(0)
    bases, rows = {}, ["chrom,start,end,kind"]
    for name, n in [("chrA", 24), ("chrB", 4), ("chrC", 4)]:
        parts = []
        for i in range(n):
            kind, p = (("at", [0.45, 0.05, 0.05, 0.45]), ("gc", [0.05, 0.45, 0.45, 0.05]))[i % 2]
            parts.append("".join(generator.choice(list("ACGT"), 250, p=p)))
            rows.append(f"{name},{250 * i},{250 * (i + 1)},{kind}")
        bases[name] = "".join(parts)
    (folder / "g.fa").write_text("".join(f">{name}\n{text}\n" for name, text in bases.items()))
    (folder / "rows.csv").write_text("\n".join(rows))
    return {"data.ref": str(folder / "g.fa"), "data.windows": str(folder / "rows.csv"), "data.label": "kind"}


@pytest.fixture(scope="module")
def run(files, tmp_path_factory):
    settings = resolve(TrainConfig, "dna/conditional", SMALL, **files)
    return train.run(settings, tmp_path_factory.mktemp("runs") / "striped")


def drawn(run, tmp_path, words=(), **flags):
    settings = sample.settings_of(run, ["sampler.steps=64", *words], {"n": 12, "length": 60, **flags})
    sample.run(settings, run, str(tmp_path / "out.fa"))
    return list(SeqIO.parse(io.StringIO((tmp_path / "out.fa").read_text()), "fasta"))


def gc(records):
    text = "".join(str(record.seq) for record in records)
    return (text.count("G") + text.count("C")) / len(text)


def test_what_is_drawn_is_of_the_class_that_is_asked_for(run, tmp_path):
    shares = {label: gc(drawn(run, tmp_path, label=label)) for label in ("at", None, "gc")}
    assert shares["at"] + 0.15 < shares[None] < shares["gc"] - 0.15
    assert gc(drawn(run, tmp_path, label="gc", guidance=4.0)) > shares["gc"]


def test_headers_say_what_was_asked_for(run, tmp_path):
    header = drawn(run, tmp_path, ["context=40"], label="gc", guidance=2.0, seed=7)[0].description
    assert re.fullmatch(
        r"sample_1 model=step-00000040 sampler=ancestral .*steps=64.* seed=7 label=gc guidance=2.0 context=40", header
    )
    assert "label" not in drawn(run, tmp_path)[0].description


def test_the_run_s_settings_hold_the_classes_and_the_same_command_goes_on(run, files):
    settings = evaluate.settings_of(run, [], {})
    assert settings.model.labels == ("at", "gc")
    train.run(resolve(TrainConfig, "dna/conditional", SMALL, **files), run)


def test_evaluation_is_given_the_class(run, capsys):
    figures = []
    for words in ([], ["data.label=null"]):
        evaluate.run(evaluate.settings_of(run, words, {}), run)
        figures.append(float(re.search(r"bits per base <= ([\d.]+)", capsys.readouterr().out)[1]))
    assert figures[0] < figures[1]


def test_in_a_notebook(run):
    model = dnadiff.load(run)
    of_class = model.sample(3, length=20, steps=4, label="gc", guidance=2.0)
    assert of_class != model.sample(3, length=20, steps=4, label="at")
    assert [len(s) for s in model.sample(2, length=50, steps=4, context=20, stride=10)] == [50, 50]
    towards_a = model.sample(8, length=20, steps=8, guide=lambda rows: [3.0 * row.count("A") for row in rows])
    assert sum(s.count("A") for s in towards_a) > 8 * 20 / 2


@pytest.mark.parametrize("method", ["smc", "svdd"])
def test_steering_in_a_notebook_reports_the_reward_and_what_was_held_out(run, method):
    def n_of(letter):
        return lambda sequences: [sequence.count(letter) for sequence in sequences]

    model = dnadiff.load(run)
    how = {"n": 3, "length": 16, "steps": 4, "particles": 6, "method": method}
    designs = model.steer(n_of("C"), strength=3.0, held_out=n_of("G"), **how)
    assert [d.reward for d in designs] == [d.sequence.count("C") for d in designs]
    assert [d.held_out for d in designs] == [d.sequence.count("G") for d in designs]
    plain = model.steer(n_of("C"), strength=0.0, **how)
    assert sum(d.reward for d in designs) > sum(d.reward for d in plain)
    assert plain[0].held_out is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.sample(1, length=9, guidance=2.0), "guidance is towards a class; give one in label"),
        (lambda model: model.sample(1, length=9, stride=4), "stride is of windows; give their length in context"),
        (lambda model: model.sample(1, length=9, label="x"), "label 'x': the model knows at, gc"),
        (lambda model: model.sample(1, length=9, steps=1, guide=lambda rows: None), "guide: gave None for"),
        (lambda model: model.steer(len, n=1, length=9, method="sms"), r"'sms': is not one of smc, svdd \(did you mean"),
        (lambda model: model.steer(len, n=1, length=9, particles=0), "particles=0, .* the others 1 or more"),
        (lambda model: model.steer(len, n=1, length=9, strength=float("nan")), "strength=nan, .* strength a number"),
    ],
)
def test_bad_input_in_a_notebook_is_a_line(run, call, message):
    with pytest.raises(InputError, match=message):
        call(dnadiff.load(run))


def test_stats_say_what_was_done(run, caplog, tmp_path):
    settings = sample.settings_of(run, ["sampler.steps=9"], {"n": 5, "length": 30})
    with caplog.at_level("INFO", logger="dnadiff"):
        sample.run(settings, run, str(tmp_path / "s.fa"), stats=True)
    said = r"9 runs of the network on (\d+) rows; .* have \d\.\d+ bits; network in float32, letters drawn in float64"
    assert int(re.search(said, caplog.text)[1]) <= 9 * 5


def test_classes_that_differ_from_the_model_s_are_refused(run, files, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(Path(files["data.windows"]).read_text().replace(",at", ",xx"))
    with pytest.raises(InputError, match=r"the data have the classes gc, xx, the model is told at, gc"):
        evaluate.run(evaluate.settings_of(run, [], {"data.windows": str(other)}), run)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["guidance=2"], r"guidance is towards a class; give one in label"),
        (["stride=8"], r"stride is of windows; give their length in context"),
        (["context=8", "stride=8"], r"stride \(8\) must be below context \(8\)"),
        (["label=at", "guidance=-1"], r"guidance: .*greater than or equal to 0"),
        (["context=1"], r"context: .*greater than or equal to 2"),
    ],
)
def test_settings_that_cannot_work_are_refused(words, message):
    with pytest.raises(InputError, match=message):
        resolve(SampleSettings, None, words)


def test_samples_at_the_end_of_a_run_are_of_a_class_that_is_there(files, tmp_path):
    settings = resolve(TrainConfig, "dna/conditional", [*SMALL, "sample.label=cg"], **files)
    with pytest.raises(InputError, match="label 'cg': the model knows at, gc"):
        train.run(settings, tmp_path / "run")
