"""Samples as files: DNA as FASTA, text as JSON lines that a corpus can be read from again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from Bio.Seq import Seq
from Bio.SeqIO import write as write_fasta
from Bio.SeqRecord import SeqRecord

from dnadiff import dna
from dnadiff.data.text.tokenizer import KEPT, kept_tokenizer
from dnadiff.inference.sample import Wanted
from dnadiff.model import DiffusionModel
from dnadiff.tasks.settings import SampleSettings


def file_name(checkpoint: Path) -> str:
    """What a file of samples of this model is called."""
    return "samples.jsonl" if (checkpoint / KEPT).is_file() else "samples.fa"


def write(
    tokens: np.ndarray, model: DiffusionModel, settings: SampleSettings, *, source: Path, to: Path | TextIO
) -> None:
    """Write samples (n, length) that say where they come from: model, sampler with its settings, seed, class.

    Args:
        source: checkpoint folder of the model.
        to: a file, or standard output.
    """
    about, tokenizer = origin(model, settings, source=source), kept_tokenizer(source)
    if tokenizer is None:
        write_fasta(_as_records(tokens, about), to, "fasta")
        return
    lines = "".join(
        f"{json.dumps({'text': text, **about}, ensure_ascii=False)}\n" for text in map(tokenizer.text, tokens.tolist())
    )
    if isinstance(to, Path):
        to.write_text(lines, encoding="utf-8")
    else:
        to.write(lines)


def origin(model: DiffusionModel, settings: SampleSettings, *, source: Path) -> dict[str, Any]:
    """What samples come from."""
    used = model.config.objective.sampler(settings.sampler)
    knobs = used.model_dump(exclude={"kind"}, exclude_none=True)
    asked = settings.model_dump(include=set(Wanted.model_fields), exclude_defaults=True)
    return {"model": source.name, "sampler": used.kind, **knobs, "seed": settings.seed, **asked}


def _as_records(tokens: np.ndarray, about: dict[str, Any]) -> list[SeqRecord]:
    shown = {name: ",".join(value) if isinstance(value, tuple) else value for name, value in about.items()}
    description = " ".join(f"{name}={value}" for name, value in shown.items())
    return [
        SeqRecord(Seq(dna.decode(row)), id=f"sample_{number}", description=description)
        for number, row in enumerate(tokens, 1)
    ]
