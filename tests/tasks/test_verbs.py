"""evaluate, sample, windows, doctor, and the notebook interface, on a finished run."""

import io
import re
import shutil

import numpy as np
import pytest
import torch
from Bio import SeqIO

import dnadiff
from dnadiff import cli
from dnadiff.data.splits import ByChromosome
from dnadiff.errors import InputError
from dnadiff.run import RunFolder
from dnadiff.tasks import doctor, evaluate, sample, windows


def test_evaluate_prints_the_figure_that_the_run_reports(run, capsys):
    settings = evaluate.settings_of(run, [], {})
    evaluate.run(settings, run)
    printed = capsys.readouterr().out
    reported = re.search(r'"bits_per_base": {\s*"value": ([\d.]+)', (run / "results.json").read_text())
    assert f"bits per base <= {float(reported[1]):.4f}" in printed
    assert "8 windows, 512 bases, 2 sweeps" in printed
    assert "split test" in printed


def test_evaluate_takes_another_split_and_genome(run, genome, capsys):
    settings = evaluate.settings_of(run, [], {"evaluate.split": "valid", "data.ref": str(genome)})
    evaluate.run(settings, run)
    assert "split valid" in capsys.readouterr().out


def test_a_bare_checkpoint_needs_a_genome(run, tmp_path):
    shutil.copytree(RunFolder(run).newest(), tmp_path / "model")
    with pytest.raises(InputError, match="is not inside a run folder, so there are no data settings; give --ref"):
        evaluate.settings_of(tmp_path / "model", [], {})


def test_sample_writes_fasta_to_a_file_and_to_standard_output(run, tmp_path, capsys):
    settings = sample.settings_of(run, ["sampler.steps=2"], {"n": 2, "length": 30, "seed": 5})
    sample.run(settings, run, str(tmp_path / "out.fa"))
    sample.run(settings, run, "-")
    printed = capsys.readouterr().out
    assert printed == (tmp_path / "out.fa").read_text()
    assert [len(record) for record in SeqIO.parse(io.StringIO(printed), "fasta")] == [30, 30]


def test_steps_are_the_sampler_s_if_it_has_steps(run):
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "run", lambda settings, *_, **__: asked.append(settings.sampler.steps))
        cli.drawing.sample(str(run), steps=7)
        cli.drawing.sample(str(run), ["sampler.kind=remdm"], steps=8)
    assert asked == [7, 8]
    with pytest.raises(InputError, match=r"^settings: sampler\.steps: kind 'first_hitting' has no such setting \(it"):
        cli.drawing.sample(str(run), ["sampler.kind=first_hitting"], steps=7)


def test_windows_counts_every_split(settings, capsys):
    windows.run(settings)
    printed = capsys.readouterr().out
    assert re.search(r"train\W+chrA\W+93\W+5,952", printed)
    assert re.search(r"test\W+chrC\W+23", printed)
    assert "left out" not in printed
    longer = settings.data.model_copy(update={"length": 2000, "split": ByChromosome()})
    windows.run(settings.model_copy(update={"data": longer}))
    assert "left out: 2 rows shorter than a window" in " ".join(capsys.readouterr().out.split())


def test_doctor_tries_a_real_forward_pass(capsys):
    doctor.run()
    printed = capsys.readouterr().out
    assert re.search(r"forward pass\s+cpu ok", printed)
    assert re.search(r"^devices\s+[^\[\s]", printed, re.MULTILINE)
    assert re.search(r"on the PATH\s+\S+", printed)


def test_a_model_in_a_notebook(run):
    model = dnadiff.load(run)
    assert "Caduceus" in repr(model)
    sequences = model.sample(3, length=20, seed=1, steps=4)
    assert sequences == model.sample(3, length=20, seed=1, steps=4)
    assert sequences != model.sample(3, length=20, seed=2, steps=4)
    assert all(len(sequence) == 20 and set(sequence) <= set("ACGT") for sequence in sequences)


def test_a_notebook_draws_as_the_run_does_unless_told_otherwise(run, caplog):
    model = dnadiff.load(run)
    assert model.sample(2, length=20) == model.sample(2, length=20, steps=4, temperature=1.0)
    assert model.sample(2, length=20) != model.sample(2, length=20, steps=20)
    assert dnadiff.load(RunFolder(run).best()).sample(2, length=20) == model.sample(2, length=20)
    assert "the model was trained on windows" not in caplog.text
    model.sample(1, length=65)
    assert "length 65: the model was trained on windows of 64; what it does beyond is untried" in caplog.text


def test_bits_per_base_takes_strings_arrays_and_tensors_of_any_lengths(run):
    model = dnadiff.load(run)
    tokens = np.random.default_rng(0).integers(7, 11, size=(4, 30))
    strings = [dnadiff.dna.decode(row) for row in tokens]
    figures = [model.bits_per_base(given).bits_per_base for given in (strings, tokens, torch.from_numpy(tokens))]
    assert figures[0] == figures[1] == figures[2]
    assert 1.5 < figures[0].value < 2.5
    mixed = model.bits_per_base(["ACGTACGT", "ACG", "TTTTNNTTTT"])
    assert mixed.n_scored == 8 + 3 + 8


def test_a_notebook_s_model_is_given_back_as_it_was(run):
    model = dnadiff.load(run)
    model.network.train()
    model.sample(1, length=4, steps=1)
    model.bits_per_base("ACGT")
    assert model.network.training


@pytest.mark.case(60)
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.bits_per_base("ACGJ"), "sequence 0: 'J' at position 3"),
        (lambda model: model.bits_per_base([]), "no sequences were given"),
        (lambda model: model.bits_per_base("NNNN"), "no base to score"),
        (lambda model: model.bits_per_base(""), "no sequences were given"),
        (lambda model: model.bits_per_base([7, 8]), "sequences hold 7; pass strings"),
        (lambda model: model.bits_per_base(np.array([[263, 264]])), "tokens of type int64 and shape"),
        (lambda model: model.bits_per_base(np.array([[7.0]])), "tokens of type float64"),
        (lambda model: model.bits_per_base("ACGT", sweeps=0), "sweeps=0"),
        (lambda model: model.sample(2, length=0), "length=0, .* the others 1 or more"),
        (lambda model: model.sample(2, length=5, steps=0), "steps=0"),
        (lambda model: model.sample(2, length=5, temperature=float("nan")), "temperature=nan"),
    ],
)
def test_bad_input_in_a_notebook_says_how_to_mend_it(run, call, message):
    with pytest.raises(InputError, match=message):
        call(dnadiff.load(run))
