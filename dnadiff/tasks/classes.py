"""The classes of the data, as what a model is told."""

from __future__ import annotations

from dnadiff import config
from dnadiff.errors import InputError
from dnadiff.inference.sample import label_number
from dnadiff.tasks.settings import TrainConfig


def told(settings: TrainConfig, ours: tuple[str, ...]) -> TrainConfig:
    """Settings whose model is told the classes of the data.

    Args:
        ours: names of the classes, in order; empty where the data have none.

    Raises:
        InputError: it is told others, or none and cannot learn them any more; or samples are to be of another class.
    """
    theirs = settings.model.labels
    if ours and theirs != ours:
        if theirs or settings.init != "none":
            known = f"told {', '.join(theirs)}" if theirs else "told no class"
            raise InputError(
                f"data.label: the data have the classes {', '.join(ours)}, the model is {known}; "
                "give data of the same classes, or train from random weights"
            )
        given = settings.model_dump()
        given["model"]["labels"] = ours
        settings = config.decode(TrainConfig, given, where="data.label")
    if settings.sample.label is not None:
        label_number(settings.model.labels, settings.sample.label)
    return settings
