"""What a method of classification is given, and what it gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dnadiff.data.labelled.folds import Fold
from dnadiff.tasks.classify.opened import OpenedSet
from dnadiff.tasks.classify.settings import ClassifyConfig


class Task(NamedTuple):
    """What a method is given.

    Attributes:
        settings: of the whole run.
        data: the set.
        fold: its rows.
        seed: of initial weights, order and strands.
    """

    settings: ClassifyConfig
    data: OpenedSet
    fold: Fold
    seed: int

    @property
    def n_outputs(self) -> int:
        """Classes, or one number."""
        return max(1, len(self.data.classes))


@dataclass(frozen=True)
class Outcome:
    """What a method gives.

    Attributes:
        probabilities: (test rows, classes); where a number is predicted, that, (test rows, 1).
        facts: for result.json.
        save: writes its model to a folder; None where there is none to keep.
    """

    probabilities: np.ndarray
    facts: dict[str, Any] = field(default_factory=dict)
    save: Callable[[Path], None] | None = None
