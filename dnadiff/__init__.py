"""Masked discrete diffusion language models for DNA.

import dnadiff
model = dnadiff.load("runs/demo")
model.sample(10, length=512, seed=0)
model.bits_per_base(["ACGTACGTTTGACA"]).bits_per_base
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dnadiff.errors import DnadiffError, InputError
    from dnadiff.inference.api import Model, load
    from dnadiff.inference.estimate import Estimate
    from dnadiff.tasks.classify.estimator import Classifier
    from dnadiff.tasks.report import report_card

__all__ = ["Classifier", "DnadiffError", "Estimate", "InputError", "Model", "load", "report_card"]

_WHERE = {
    "Classifier": "dnadiff.tasks.classify.estimator",
    "DnadiffError": "dnadiff.errors",
    "Estimate": "dnadiff.inference.estimate",
    "InputError": "dnadiff.errors",
    "Model": "dnadiff.inference.api",
    "load": "dnadiff.inference.api",
    "report_card": "dnadiff.tasks.report",
}


def __getattr__(name: str) -> object:
    """Names load when they are first used, so that the command line starts without torch."""
    if name not in _WHERE:
        raise AttributeError(f"module 'dnadiff' has no attribute {name!r}; it offers {', '.join(__all__)}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
