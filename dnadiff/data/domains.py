"""What a model can be trained on. To add a domain: its settings here, and what a run says of it in `dnadiff.tasks`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dnadiff.data import genome
from dnadiff.data.genome import GenomeData, GenomeSplits
from dnadiff.data.text.open import TextData, TextSplits, open_text

Data = Annotated[GenomeData | TextData, Field(discriminator="kind")]
Splits = GenomeSplits | TextSplits


def open_data(settings: GenomeData | TextData, *, seed: int) -> Splits:
    """Sets of rows to train on, to choose by and to report; errors as of each domain.

    Args:
        settings: what to read.
        seed: of what training draws.
    """
    match settings:
        case GenomeData():
            return genome.open_data(settings, seed=seed)
        case TextData():
            return open_text(settings, seed=seed)
