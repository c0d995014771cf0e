"""The model that ships: what means it, how runs remember it, and what a package without it says."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import dnadiff
from dnadiff import checkpoint, cli
from dnadiff.cli.shared import model_and_words, start_of
from dnadiff.errors import InputError
from dnadiff.hub import shipped
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.run import find_checkpoint, lasting_name, origin
from dnadiff.vocab import DNA

REAL = shipped.folder()  # None where this package holds none
LARGEST = 2_500_000  # bytes of all its files
SIZES = ["data.length=64", "train.max_steps=1", "train.batch_size=2", "train.valid_windows=2", "markov_order=1",
         "evaluate.max_windows=2", "evaluate.sweeps=2", "sample.n=0"]  # fmt: skip


@pytest.fixture
def no_model(tmp_path, monkeypatch):
    """A package without the model."""
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "package")


@pytest.fixture
def model(no_model, tmp_path, monkeypatch):
    """A package with a small random model, and an empty folder to work in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    torch.manual_seed(0)
    made = dnadiff.Model(DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1, n_states=2)), DNA).eval())
    made.save_pretrained(tmp_path / "package" / shipped.NAME, license="apache-2.0")
    return made


@pytest.fixture
def fasta(tmp_path):
    """A contig of 4,000 bases, without gaps; and a record with one."""
    generator = torch.Generator().manual_seed(0)
    bases = "".join("ACGT"[i] for i in torch.randint(4, (4000,), generator=generator).tolist())
    path = tmp_path / "small.fa"
    path.write_text(f">chr1\n{bases}\n")
    (tmp_path / "gap.fa").write_text(">one\nACGTNNNNACGTACGT\n")
    return path


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["dnadiff", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    output = capsys.readouterr()
    return stop.value.code, output.out, output.err


@pytest.mark.skipif(REAL is None, reason="this package holds no model")
def test_the_one_of_this_package_is_small_and_draws_dna():
    assert {"README.md", "config.yaml", "weights.safetensors"} <= {file.name for file in REAL.iterdir()}
    assert sum(file.stat().st_size for file in REAL.iterdir()) <= LARGEST
    model = dnadiff.load(REAL)
    assert model.settings.data.length is not None
    assert set(model.sample(1, length=32, steps=4)[0]) <= set("ACGT")


@pytest.mark.skipif(REAL is None, reason="this package holds no model")
def test_the_one_of_this_package_has_learned_what_human_and_yeast_have_in_common():
    """Few CG, long runs of A and T, and the same of either strand."""
    model = dnadiff.load(REAL)
    generator = np.random.default_rng(0)
    flanks = ["".join(generator.choice(list("ACGT"), 120)) for _ in range(4)]

    def nats(middle):
        whole = [flank[:60] + middle + flank[60:] for flank in flanks]
        return np.mean([p.nats for p in model.log_prob(whole, "pseudo", region=(60, 60 + len(middle)))])

    assert nats("CG" * 8) < nats("GC" * 4 + "AT" * 4) < nats("A" * 16)
    assert nats("A" * 16) == pytest.approx(nats("T" * 16), abs=2)


def test_a_classifier_starts_from_it_where_no_network_is_named(model):
    rows, classes = ["ACGT" * 4, "TTTT" * 4, "ACGA" * 4, "TATT" * 4], [0, 1, 0, 1]

    def width(**named):
        fitted = dnadiff.Classifier(probe=True, **named).fit(rows, classes)
        return fitted.network_.config.model.width

    assert width() == model.network.config.model.width
    assert width(model={"kind": "caduceus", "width": 4, "n_layers": 1, "n_states": 2}) == 4
    assert dnadiff.Classifier().init is None  # as scikit-learn asks: what is given is kept as it is


@pytest.mark.parametrize("named", [(), (shipped.NAME,)])
def test_a_notebook_gets_it_by_its_name_and_by_none(model, named):
    tokens = torch.tensor([[7, 8, 3, 3, 10, 9]])
    assert torch.equal(dnadiff.load(*named).network.network(tokens), model.network.network(tokens))


def test_runs_remember_its_name_and_its_hashes(model):
    folder = shipped.folder()
    assert lasting_name(folder) == lasting_name(Path(shipped.NAME)) == shipped.NAME
    assert find_checkpoint(Path(shipped.NAME)) == folder
    assert origin(shipped.NAME)["sha256"] == checkpoint.verify(folder)["sha256"]


@pytest.mark.parametrize(
    ("words", "n_others", "expected"),
    [
        ([], 0, []), (["n=3"], 0, ["n=3"]), (["a=/b//c/", "d=1"], 0, ["a=/b//c/", "d=1"]), (["in.fa"], 1, ["in.fa"]),
        (["in.fa", "n=3"], 1, ["in.fa", "n=3"]),
    ],
)  # fmt: skip
def test_where_no_model_is_named_it_is_meant(model, words, n_others, expected):
    assert model_and_words(*split(words), n_others=n_others) == (shipped.folder(), expected)


@pytest.mark.parametrize(
    ("words", "n_others", "expected"),
    [
        (["run"], 0, []), (["run", "n=3"], 0, ["n=3"]), (["n=3", "run"], 0, ["n=3"]), (["run", "x"], 0, ["x"]),
        (["run", "in.fa", "n=3"], 1, ["in.fa", "n=3"]),
    ],
)  # fmt: skip
def test_a_model_that_is_named_is_meant(model, words, n_others, expected):
    assert model_and_words(*split(words), n_others=n_others) == (Path("run"), expected)


def test_a_run_may_have_a_name_like_a_setting(model):
    Path("lr=3").mkdir()
    assert model_and_words("lr=3", ["n=2"]) == (Path("lr=3"), ["n=2"])


def split(words):
    """As the command line reads them."""
    return (words[0], words[1:]) if words else (None, None)


def test_a_folder_of_its_name_is_not_mistaken_for_it(model):
    Path(shipped.NAME).mkdir()
    with pytest.raises(InputError, match=r"dna-small: is the model that ships, and there is one here too; name that"):
        dnadiff.load(shipped.NAME)
    assert dnadiff.load().source == shipped.folder()


def test_verbs_work_without_a_run(model, fasta, monkeypatch, capsys, caplog):
    gap = fasta.with_name("gap.fa")
    code, out, err = call(monkeypatch, capsys, "sample", "sampler.steps=2", "-n", 2, "--length", 16)
    assert (code, out.count(">")) == (0, 2), err
    code, out, err = call(monkeypatch, capsys, "infill", gap)
    assert (code, out.splitlines()[1][:4], "N" in out.splitlines()[1]) == (0, "ACGT", False), err
    code, out, err = call(monkeypatch, capsys, "score", "draws=2", "--fasta", fasta.with_name("gap.fa"))
    assert (code, out.splitlines()[-1].split()[0]) == (0, "one"), err
    assert f"{shipped.NAME}: is not inside a run folder" in [each[: len(shipped.NAME) + 28] for each in caplog.messages]
    code, out, err = call(monkeypatch, capsys, "embed", "--fasta", gap, "--out", "features.tsv")
    assert (code, len(Path("features.tsv").read_text().splitlines())) == (0, 2), err
    code, out, err = call(
        monkeypatch, capsys, "evaluate", "evaluate.max_windows=2", "data.length=64", "markov_order=1", "--ref", fasta
    )
    assert code == 0, err
    assert out.startswith(f"{shipped.NAME}, split test of ")
    assert "bits per base" in out


def config_of(monkeypatch, capsys, *words):
    code, out, err = call(monkeypatch, capsys, *words, "--print-config")
    assert code == 0, err
    return out


def test_fine_tuning_starts_from_it_unless_something_else_is_said(model, fasta, monkeypatch, capsys):
    def starts(*words):
        return f"init: {shipped.NAME}\n" in config_of(monkeypatch, capsys, "finetune", *words)

    assert starts("--ref", fasta)
    assert starts("--ref", fasta, "train.max_steps=3")
    assert "width: 8" in config_of(monkeypatch, capsys, "finetune", "--ref", fasta)
    assert not starts()  # the toy genome, whose figures are known
    assert not starts("--ref", fasta, "--init", "none")
    assert not starts("--ref", fasta, "init=none", "model.width=16")
    assert not starts("dna/tiny", "--ref", fasta)
    assert not starts("dna/hg38", "--ref", fasta)
    assert not starts("model/dit-tiny", "--ref", fasta)
    assert starts("dna/hg38", "--ref", fasta, "--init", shipped.NAME)
    assert "init: none" in config_of(monkeypatch, capsys, "train", "--ref", fasta)


def test_classifying_starts_from_it_unless_something_else_is_said(model, monkeypatch, capsys):
    def starts(*words):
        return f"init: {shipped.NAME}\n" in config_of(monkeypatch, capsys, "classify", "rows.csv", *words)

    assert starts()
    assert starts("--protocol", "paper", "--probe")
    assert not starts("--init", "none")
    assert not starts("model/dit-tiny")
    assert start_of(None, ["data.kind=glue"]) is None


@pytest.mark.parametrize("verb", [("finetune", "--ref", "small.fa"), ("classify", "rows.csv")])
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.width=64"], "dna-small: model.width was 8, is 64; leave model.* out, or start from other weights"),
        (["model.kind=dit"], "leave model.* out, or start from other weights with --init"),
    ],
)
def test_another_architecture_is_refused_in_one_line(model, monkeypatch, capsys, verb, words, said):
    code, out, err = call(monkeypatch, capsys, *verb, *words)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err


def test_a_run_from_it_says_so(model, fasta, monkeypatch, capsys, caplog):
    code, _, err = call(monkeypatch, capsys, "finetune", "--ref", fasta, "--out", "run", *SIZES)
    assert code == 0, err
    assert "starting from dna-small; --init none starts from random weights" in caplog.text
    assert '"name": "dna-small"' in Path("run", "manifest.json").read_text()
    assert dnadiff.load("run").network.config.model == model.network.config.model


@pytest.mark.parametrize("verb", ["sample", "infill", "score", "embed", "evaluate"])
def test_a_package_without_it_asks_for_a_model(no_model, monkeypatch, capsys, verb):
    code, out, err = call(monkeypatch, capsys, verb)
    assert (code, out) == (2, "")
    assert err == "dnadiff: no model is named, and none ships with this package; name a run, or hf:owner/name\n"


def test_a_package_without_it_starts_from_random_weights(no_model, fasta, monkeypatch, capsys):
    assert "init: none" in config_of(monkeypatch, capsys, "finetune", "--ref", fasta)
    with pytest.raises(InputError, match="no model is named"):
        dnadiff.load()
    with pytest.raises(InputError, match="dna-small: no such folder"):
        dnadiff.load(shipped.NAME)
