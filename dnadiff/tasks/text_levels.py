"""What a model's figures on text are read against, and how samples compare with real rows."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from dnadiff.data.text.open import TextSplits
from dnadiff.data.text.rows import TextRows
from dnadiff.inference.estimate import Estimate, Interval, Meaning
from dnadiff.tasks.settings import TrainConfig

MOST_ROWS = 20_000  # of a split, evenly spread, that are counted


@dataclass(frozen=True)
class TextLevels:
    """Bits per token on the rows that are scored.

    Attributes:
        uniform: of a guess among all tokens.
        unigram: of frequencies, each token counted once more than it occurs.
        counted: the rows that frequencies are of: training, or where there are none the scored ones themselves.
        characters_per_token: of the text that the scored tokens stand for, those between documents among them.
    """

    uniform: float
    unigram: float
    characters_per_token: float
    counted: str = "training"
    letter: ClassVar[str] = "token"
    rows: ClassVar[str] = "rows"
    source: ClassVar[None] = None

    def lines(self) -> dict[str, float]:
        """Named levels for a picture."""
        return {"uniform": self.uniform, "unigram": self.unigram}

    def more(self, result: Estimate) -> dict[str, Interval]:
        """Bits per character of the text."""
        return {"bits per character": result.bits_per_base.scaled(1 / self.characters_per_token)}

    def verdict(self, result: Estimate) -> str:
        """How a figure compares with the frequencies of tokens."""
        unigrams = f"of the {self.counted} rows' unigrams {self.unigram:.3f}"
        levels = f"bits per token of a uniform guess {self.uniform:.3f}, {unigrams}"
        if result.meaning in (Meaning.PSEUDO, Meaning.LOSS):
            return f"{levels}; these are likelihoods, which this figure cannot be compared with"
        bits = result.bits_per_base
        against = "above" if bits.low > self.unigram else "below" if bits.high < self.unigram else "not told apart from"
        return f"{levels}\n{bits.value:.3f} bits per token: {against} unigrams"

    def of(self, part: str) -> TextLevels:
        """The same."""
        return self

    def as_numbers(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {"letter": self.letter, **asdict(self)}


def measure(settings: TrainConfig, data: TextSplits) -> TextLevels:
    """Count and score the baselines; without training rows the scored ones themselves are counted."""
    scored: TextRows = data.sets()[settings.evaluate.split]
    tokens = scored.rows(_spread(settings.evaluate.chosen(len(scored))), epoch=None)
    counted, train = ("training", data.train) if len(data.train) else ("scored", scored)
    letters = np.asarray(data.vocab.letters)
    seen = _counts(train.rows(_spread(np.arange(len(train))), epoch=None), data.vocab.size)[letters] + 1
    counts = _counts(tokens, data.vocab.size)[letters]
    n_tokens = int(counts.sum())
    unigram = float(counts @ -np.log2(seen / seen.sum())) / n_tokens
    n_characters = sum(len(text) for row in tokens.tolist() for text in data.tokenizer.documents(row))
    return TextLevels(math.log2(len(letters)), unigram, n_characters / n_tokens, counted)


def unigram_entropy(tokens: np.ndarray) -> float:
    """Entropy in nats of the tokens within a row, averaged over rows (n, length); low where rows repeat themselves."""
    entropies = []
    for row in tokens:
        shares = np.unique(row, return_counts=True)[1] / len(row)
        entropies.append(float(-(shares @ np.log(shares))))
    return float(np.mean(entropies))


def real_rows(settings: TrainConfig, data: TextSplits, n: int) -> np.ndarray:
    """(n or fewer, length) tokens of the scored split, evenly spread, no longer than samples are."""
    rows: TextRows = data.sets()[settings.evaluate.split]
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(n, len(rows))).round().astype(np.int64))
    return rows.rows(chosen, epoch=None)[:, : settings.sample.length]


def _spread(chosen: np.ndarray) -> np.ndarray:
    return chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), MOST_ROWS)).round().astype(np.int64)]


def _counts(tokens: np.ndarray, size: int) -> np.ndarray:
    return np.bincount(tokens.ravel(), minlength=size)
