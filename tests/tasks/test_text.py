"""Text through the verbs that DNA goes through: train, evaluate, sample, start from a run; and what is refused."""

import json
import shutil
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import dnadiff
from dnadiff import checkpoint
from dnadiff.cli import app
from dnadiff.config import to_yaml
from dnadiff.data.domains import open_data
from dnadiff.data.text.open import TextData
from dnadiff.data.text.tokenizer import KEPT, kept_tokenizer
from dnadiff.errors import InputError
from dnadiff.inference.evaluate import evaluate as evaluate_rows
from dnadiff.inference.measures import Measure, likelihood
from dnadiff.run import RunFolder
from dnadiff.tasks import evaluate, sample, text_levels, train, windows
from dnadiff.tasks.likelihood import LikelihoodSettings
from dnadiff.tasks.likelihood import run as score_fasta
from dnadiff.tasks.settings import resolve

pytest.importorskip("tokenizers", reason="the text extra is not installed")


@pytest.fixture(scope="module")
def corpus(text_corpus):
    return text_corpus


@pytest.fixture(scope="module")
def settings(text_settings):
    return text_settings


@pytest.fixture(scope="module")
def run(text_run):
    return text_run


@pytest.fixture(scope="module")
def results(run):
    return json.loads((run / "results.json").read_text())


def evaluated(run, tmp_path, *words):
    out = tmp_path / "figures.json"
    evaluate.run(evaluate.settings_of(run, words, {}), run, str(out))
    return json.loads(out.read_text())


def test_a_run_of_text_ends_with_figures_per_token_and_per_character(run, settings, results):
    bits, perplexity, characters = (
        results[f"{n}"]["value"] for n in ("bits_per_token", "perplexity", "bits_per_character")
    )
    assert perplexity == pytest.approx(2**bits)
    assert characters * results["characters_per_token"] == pytest.approx(bits)
    assert results["uniform"] == pytest.approx(np.log2(298))  # all but mask and padding
    assert results["unigram"] < results["uniform"]
    assert not [name for name in results if "base" in name]
    assert "bits/token" in (run / "log.txt").read_text()
    assert json.loads((run / "manifest.json").read_text())["splits"][0]["split"] == "train"
    assert (run / "plots" / "training.png").is_file()


def test_samples_are_json_lines_that_a_corpus_is_read_from(run, results, capsys):
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == [0] * 3
    assert all(line["sampler"] == "ancestral" and line["steps"] == 4 for line in lines)
    assert 0 <= results["samples"]["entropy"] <= np.log(12) + 1e-9
    sample.run(sample.settings_of(run, [], {}), run, "-")
    assert capsys.readouterr().out == (run / "samples.jsonl").read_text()


def test_every_checkpoint_reads_and_writes_text_by_itself(run, corpus):
    data = open_data(evaluate.settings_of(run, [], {}).data, seed=0)
    for step in RunFolder(run).steps():
        tokenizer = kept_tokenizer(RunFolder(run).checkpoint(step))
        assert tokenizer.vocab == checkpoint.load(RunFolder(run).checkpoint(step)).vocab == data.vocab
        text = corpus.read_text().splitlines()[3]
        assert tokenizer.documents(tokenizer.encode([text])[0]) == [text]


def test_evaluating_a_run_repeats_its_figure(run, results, tmp_path, capsys):
    assert evaluated(run, tmp_path)["bits_per_token"] == results["bits_per_token"]
    printed = capsys.readouterr().out
    assert "bits per character" in printed
    assert "unigrams" in printed


def test_another_corpus_is_read_by_the_tokens_of_the_model(run, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("\n".join(f"a dog {i} barks at the cat" for i in range(50)))
    words = [f"data.path={other}", "data.valid_documents=null", "data.rows.separators=false", "data.rows.bounds=false"]
    found = evaluated(run, tmp_path, *words, "evaluate.max_windows=null")
    n_tokens = sum(map(len, kept_tokenizer(RunFolder(run).best()).encode(other.read_text().splitlines())))
    assert found["n_scored"] == n_tokens // 16 * 16
    n_characters = len(other.read_text().replace("\n", ""))
    assert found["characters_per_token"] == pytest.approx(n_characters / n_tokens, rel=0.1)
    assert found["text"] == str(other)
    assert found["counted"] == "scored"


def test_the_same_command_goes_on_and_changes_no_weight(run, settings):
    weights = RunFolder(run).newest() / "weights.safetensors"
    before = weights.read_bytes()
    train.run(settings, run)
    assert weights.read_bytes() == before


@pytest.mark.parametrize("workers", [0, 1])
def test_a_run_that_was_killed_ends_with_the_same_weights(run, settings, tmp_path, workers):
    killed = RunFolder(shutil.copytree(run, tmp_path / "killed"))
    shutil.rmtree(killed.checkpoint(4))
    other = settings.model_copy(update={"train": settings.train.model_copy(update={"workers": workers})})
    killed.config.write_text(to_yaml(other))
    train.run(other, killed.path)
    weights = [folder.checkpoint(4) / "weights.safetensors" for folder in (RunFolder(run), killed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_run_is_started_from_with_its_tokenizer(run, corpus, text_words):
    again = resolve("text/demo", text_words, {"data.path": str(corpus), "init": str(run)})
    assert again.data.tokenizer == str(RunFolder(run).best().absolute() / KEPT)
    model = train.build(again, open_data(again.data, seed=0).vocab)
    saved = checkpoint.read_tensors(RunFolder(run).best() / "weights.safetensors")
    assert all((model.state_dict()[name] == tensor).all() for name, tensor in saved.items())


@pytest.mark.case(57)
def test_a_tokenizer_of_another_size_is_refused(run, settings, tmp_path):
    tokens = r"knows other tokens \(300\) than these data have \(35\)"
    with pytest.raises(InputError, match=tokens):
        evaluated(run, tmp_path, "data.tokenizer=characters")
    vocab = open_data(settings.data.model_copy(update={"tokenizer": "characters"}), seed=0).vocab
    with pytest.raises(InputError, match=tokens):
        train.build(settings.model_copy(update={"init": str(run)}), vocab)


def test_a_checkpoint_outside_its_run_is_told_what_to_score(run, corpus, tmp_path):
    alone = shutil.copytree(RunFolder(run).best(), tmp_path / "alone")
    with pytest.raises(InputError, match=r"is not inside a run folder, so there are no data settings; give data\.path"):
        evaluate.settings_of(alone, [], {})
    words = [f"data.path={corpus}", "data.valid_documents=40", "data.length=16", "evaluate.sweeps=2"]
    assert evaluated(alone, tmp_path, *words)["n_windows"] > 12


def test_what_is_for_dna_is_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"text has no opposite strand; leave it at given"):
        evaluate.settings_of(run, ["evaluate.strands=both"], {})
    (tmp_path / "some.fa").write_text(">one\nACGT\n")
    with pytest.raises(InputError, match=r"is no model of DNA; --fasta is for those, data\.path=FILE scores text"):
        score_fasta(LikelihoodSettings(), run, str(tmp_path / "some.fa"), None, None)


def test_rows_are_counted(settings, capsys):
    windows.run(settings)
    assert "documents" in capsys.readouterr().out


def test_nothing_to_train_on_is_told_what_to_change(settings, corpus):
    all_held_out = settings.data.model_copy(update={"valid_documents": None, "tokenizer": "characters"})
    with pytest.raises(InputError, match=r"no window in train.*then change data\.valid_documents or data\.length"):
        train.dry_run(settings.model_copy(update={"data": all_held_out}))
    with pytest.raises(InputError, match=r"no document is left to train one on"):
        open_data(all_held_out.model_copy(update={"tokenizer": None}), seed=0)


def test_padding_is_read_in_evaluation_as_in_training(settings, run, corpus, monkeypatch):
    tokenizer = str(RunFolder(run).best() / KEPT)
    padded = TextData(path=str(corpus), tokenizer=tokenizer, length=40, valid_documents=40, rows={"kind": "padded"})
    data = open_data(padded, seed=0)
    model, seen = checkpoint.load(RunFolder(run).best()), []
    measure = likelihood(model)

    def spy(batch, noise):
        seen.append(batch.valid)
        return measure.draw(batch, noise)

    spied = Measure(spy, measure.meaning, measure.n_uniforms)
    assert (data.valid.rows(np.arange(4), epoch=None) == data.vocab.pad).any()
    monkeypatch.setattr(evaluate, "measure_of", lambda *_: spied)
    evaluate.score(model, data.valid, settings.evaluate, seed=0)
    assert seen
    assert not any(valid is not None for valid in seen)
    evaluate_rows(model, spied, lambda rows: data.valid.rows(rows, epoch=None), 4, sweeps=2)
    assert seen[-1] is not None  # sequences of any length, whose padding no network has seen


def test_a_notebook_has_text_for_strings(run):
    model = dnadiff.load(run)
    lines = [json.loads(line)["text"] for line in (run / "samples.jsonl").read_text().splitlines()]
    assert model.sample(3, length=12) == lines
    given = ["the 3th cat", "sat on a mat 5"]
    ids = model.tokenizer.encode(given)
    figures = model.bits_per_base(given)
    assert figures.n_scored == sum(map(len, ids))
    first, _ = model.log_prob(given, draws=4)
    (same,) = model.log_prob(np.array(ids[0]), draws=4)
    assert first == same
    with pytest.raises(InputError, match=r"sequences hold 3; pass strings, or an integer array of tokens"):
        model.log_prob([3])
    with pytest.raises(InputError, match=r"pass \(n, length\) integers, ids of the tokenizer, \d+ for padding"):
        model.log_prob(np.array([[400]]))


def test_entropy_within_a_row():
    tokens = np.array([[1, 1, 1, 1], [1, 2, 3, 4]])
    assert text_levels.unigram_entropy(tokens) == pytest.approx(np.log(4) / 2)


def test_without_the_extra_a_text_verb_says_which_to_install(monkeypatch, settings, tmp_path):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"text needs an extra: pip install 'dnadiff\[text\]'"):
        train.run(settings, tmp_path / "run")


def test_the_demo_needs_no_file_and_is_planned_from_the_command_line():
    found = CliRunner().invoke(app, ["train", "text/demo", "--dry-run"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout[found.stdout.index("{") :])["tokens_per_step"] == 16 * 64


def test_longer_texts_are_drawn_in_strides_and_without_banned_tokens(run, tmp_path):
    vocab = kept_tokenizer(RunFolder(run).best()).vocab
    ban = [vocab.tokens[i] for i in vocab.letters[5:]]
    words = ["--length", "24", "context=12", "stride=6", f"ban={json.dumps(ban)}", "-n", "2"]
    done = CliRunner().invoke(app, ["sample", str(run), *words, "--out", str(tmp_path / "long.jsonl")])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "long.jsonl").read_text().splitlines()]
    assert [(row["context"], row["stride"], row["ban"]) for row in rows] == [(12, 6, ban)] * 2
    settings = sample.settings_of(run, words[2:5], {"n": 2, "length": 24})
    drawn = sample.draw(checkpoint.load(RunFolder(run).best()), settings)
    assert drawn.shape == (2, 24)
    assert set(drawn.flatten().tolist()) <= set(vocab.letters[:5])
