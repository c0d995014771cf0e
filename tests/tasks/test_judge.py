"""Generative perplexity: by a run of ours, by a published model, and what it is printed with."""

import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dnadiff import checkpoint
from dnadiff.data.text.tokenizer import kept_tokenizer
from dnadiff.errors import InputError
from dnadiff.inference.judge import open_judge
from dnadiff.inference.likelihood import log_prob
from dnadiff.run import RunFolder
from dnadiff.tasks import judge, train
from dnadiff.tasks.sample import settings_of
from dnadiff.tasks.settings import resolve

pytest.importorskip("tokenizers", reason="the text extra is not installed")
TEXTS = ["a dog barks", "the cat", "seven cats sat on a mat"]


@pytest.fixture(scope="module")
def ar_run(text_words, text_corpus, tmp_path_factory):
    words = [*text_words, "objective.kind=ar", "model.causal=true", "sample.n=0"]
    return train.run(
        resolve("text/demo", words, {"data.path": str(text_corpus)}), tmp_path_factory.mktemp("runs") / "ar"
    )


def test_a_run_of_ours_judges_each_text_by_itself(ar_run):
    judged = open_judge(str(ar_run), batch_size=2).score(TEXTS)
    folder = RunFolder(ar_run).best()
    model, tokenizer = checkpoint.load(folder), kept_tokenizer(folder)
    for text, nats, n_tokens in zip(TEXTS, *judged, strict=True):
        (ids,) = tokenizer.encode([text])
        assert n_tokens == len(ids)
        assert -log_prob(model, np.array(ids), "bound").nats == pytest.approx(nats, rel=1e-5)


def test_a_published_model_that_knows_nothing_has_the_perplexity_of_a_guess(monkeypatch):
    class Guess(torch.nn.Linear):
        config = SimpleNamespace(max_position_embeddings=9)

        def forward(self, input_ids, attention_mask):
            assert attention_mask.sum(1).tolist() == [min(9, 1 + len(text)) for text in self.texts]
            return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 50))

    class Letters(SimpleNamespace):
        def __call__(self, text, add_special_tokens):
            assert not add_special_tokens
            return {"input_ids": [ord(letter) % 50 for letter in text]}

    model = Guess(1, 1)
    monkeypatch.setitem(
        sys.modules, "transformers", SimpleNamespace(
            AutoTokenizer=SimpleNamespace(from_pretrained=lambda _: Letters(bos_token_id=None, eos_token_id=0)),
            AutoModelForCausalLM=SimpleNamespace(from_pretrained=lambda _, dtype: model),
        ),
    )  # fmt: skip
    Guess.texts = TEXTS
    nats, n_tokens = open_judge("somebody/guess", batch_size=8).score(TEXTS)
    assert n_tokens.tolist() == [8, 7, 8]  # cut where the model's positions end
    assert nats == pytest.approx(n_tokens * math.log(50))


def test_the_figure_comes_with_all_that_it_depends_on(text_run, ar_run, tmp_path, capsys):
    out = tmp_path / "judged.json"
    judge.run(settings_of(text_run, [], {"n": 12}), text_run, str(ar_run), str(out))
    numbers, printed = json.loads(out.read_text()), capsys.readouterr().out
    figure = numbers["perplexity"]
    assert figure["low"] < figure["value"] < figure["high"]
    assert 0 < numbers["entropy"] <= math.log(numbers["length"]) + 1e-9
    for word in ("sampler ancestral", "steps 4", "precision float32", "temperature 1.0", "seed 0", "n 12", "entropy"):
        assert word in printed
    assert f"{figure['value']:.2f}  [" in printed


def test_documents_of_a_sample_are_judged_apart_and_their_sums_are_its_own():
    def score(texts):
        lengths = np.array([len(text) for text in texts])
        return 2.0 * lengths, lengths

    nats, n_tokens = judge._by_sample(SimpleNamespace(score=score), [["aa", "b"], [], ["cccc"]])
    assert n_tokens.tolist() == [3, 0, 4]
    assert nats.tolist() == [6.0, 0.0, 8.0]
    with pytest.raises(InputError, match="hold no text to judge"):
        judge._by_sample(SimpleNamespace(score=score), [[], []])


def test_who_cannot_judge_is_refused(text_run, run, ar_run, monkeypatch):
    with pytest.raises(InputError, match=r"is no autoregressive model of text; name one"):
        open_judge(str(text_run), batch_size=2)
    with pytest.raises(InputError, match=r"is no model of text, and only text has a judge"):
        judge.run(settings_of(run, [], {}), run, str(ar_run), None)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(InputError, match=r"--by gpt2-large: needs an extra: pip install 'dnadiff\[text\]'"):
        open_judge("gpt2-large", batch_size=2)
