"""Texts under a causal language model: the judge of generative perplexity.

Unlike the published routine, every text counts, those of the last batch too, and nothing behind the end of one does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from dnadiff import checkpoint
from dnadiff.data.text.tokenizer import TextTokenizer, kept_tokenizer
from dnadiff.diffusion.contracts import Likelihood
from dnadiff.errors import InputError
from dnadiff.inference.device import best_device, borrowed
from dnadiff.inference.draws import Draws
from dnadiff.inference.evaluate import fill
from dnadiff.inference.measures import likelihood
from dnadiff.inference.strings import as_rows, padded
from dnadiff.model import DiffusionModel
from dnadiff.run import find_checkpoint


class Judged(NamedTuple):
    """What a judge says of texts; -log p in nats and the tokens it is of, (n,) each."""

    nats: np.ndarray
    n_tokens: np.ndarray


class Judge(NamedTuple):
    """A causal language model as a function of texts."""

    name: str
    score: Callable[[Sequence[str]], Judged]


def open_judge(source: str, *, batch_size: int) -> Judge:
    """A run of ours that was trained with objective ar, or a causal model of the Hugging Face hub or in its format.

    Raises:
        InputError: it is neither, cannot be had, or needs an extra.
    """
    path = Path(source).expanduser()
    if (path / "config.json").is_file() or not path.exists():
        return _published(source, batch_size)
    folder = find_checkpoint(path)
    model, tokenizer = checkpoint.load(folder), kept_tokenizer(folder)
    if tokenizer is None or model.objective.likelihood is not Likelihood.EXACT:
        raise InputError(
            f"{folder}: is no autoregressive model of text; name one, or a causal model such as gpt2-large"
        )
    return Judge(str(path), lambda texts: _by_ours(model, tokenizer, texts, batch_size))


def _by_ours(model: DiffusionModel, tokenizer: TextTokenizer, texts: Sequence[str], batch_size: int) -> Judged:
    """Every token counts, the first given nothing."""
    rows = padded(as_rows(texts, tokenizer), model.vocab.pad)
    draws = Draws.empty(1, len(rows), batch_size)
    fill(draws, model, likelihood(model), lambda chosen: rows[chosen], seed=0)
    return Judged(draws.nats[0], draws.n_scored)


def _published(name: str, batch_size: int) -> Judge:
    try:
        import transformers  # only here: an extra, and slow to import
    except ImportError:
        raise InputError(f"--by {name}: needs an extra: pip install 'dnadiff[text]'; or name a run of ours") from None
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(name)
        model = transformers.AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"--by {name}: is neither a run folder nor a causal model of the hub ({reason})") from None

    def score(texts: Sequence[str]) -> Judged:
        parts = [_by_published(model, tokenizer, texts[i : i + batch_size]) for i in range(0, len(texts), batch_size)]
        return Judged(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    return Judge(name, score)


@torch.no_grad()
def _by_published(model: Any, tokenizer: Any, texts: Sequence[str]) -> Judged:
    """Every token counts, the first given the token that begins a text."""
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    most = getattr(model.config, "max_position_embeddings", None)  # longer texts lose their end
    rows = [[start, *tokenizer(text, add_special_tokens=False)["input_ids"]][:most] for text in texts]
    length = max(map(len, rows))
    ids = torch.tensor([row + [start] * (length - len(row)) for row in rows])
    real = torch.tensor([[True] * len(row) + [False] * (length - len(row)) for row in rows])
    with borrowed(model, device := best_device()):
        logits = model(input_ids=ids.to(device), attention_mask=real.long().to(device)).logits[:, :-1].float()
        nats = torch.nn.functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:].to(device), reduction="none")
    counted = real[:, 1:]
    return Judged((nats.cpu().double() * counted).sum(1).numpy(), counted.sum(1).numpy())
