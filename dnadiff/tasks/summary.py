"""The end of a run: the figure with its baselines, samples, how real they look, and pictures of both."""

from __future__ import annotations

import json
import logging
from typing import Any

from dnadiff import checkpoint
from dnadiff.data.domains import Splits
from dnadiff.diffusion.contracts import Likelihood
from dnadiff.errors import counted
from dnadiff.files import unfinished, write_text
from dnadiff.inference.estimate import Estimate
from dnadiff.model import DiffusionModel
from dnadiff.models.kernels import use_kernels
from dnadiff.report.plots import draw_training
from dnadiff.run import RunFolder
from dnadiff.tasks.domains import compare, measure
from dnadiff.tasks.evaluate import score
from dnadiff.tasks.figures import as_numbers, describe, learned
from dnadiff.tasks.levels import Levels
from dnadiff.tasks.sample import draw
from dnadiff.tasks.settings import TrainConfig
from dnadiff.tasks.written import file_name, write
from dnadiff.training.metrics import curve, read_metrics, unit_of
from dnadiff.world import ALONE, World, gathered

log = logging.getLogger("dnadiff")


def summarise(settings: TrainConfig, data: Splits, folder: RunFolder, here: World = ALONE) -> None:
    """Write results.json, samples and plots/, and say how good the model is; the processes share the draws of both."""
    best = gathered(folder.best() if here.is_first else None)[0]
    assert best is not None
    model = checkpoint.load(best)
    use_kernels(model, settings.kernels)
    log.info("evaluating %s on %s", best.name, settings.evaluate.split)
    test = score(model, data.sets()[settings.evaluate.split], settings.evaluate, seed=settings.train.seed, here=here)
    if not here.is_first:
        if settings.sample.n:
            draw(model, settings.sample, here=here)
        return
    levels = measure(settings, data)
    _draw_training(folder, model, test, levels)
    results = {"checkpoint": best.name, **as_numbers(test, levels, settings.evaluate)}
    log.info("%s: %s", settings.evaluate.split, describe(test, levels))
    log.info(levels.verdict(test))
    if schedule := learned(model):
        log.info("learned schedule: %s", schedule)
        results["learned_schedule"] = schedule
    write_text(folder.path / "results.json", json.dumps(results, indent=2))
    if settings.sample.n:
        log.info("sampling %s of %d %ss", counted(settings.sample.n, "sequence"), settings.sample.length, data.letter)
        tokens = draw(model, settings.sample, here=here)
        samples = folder.path / file_name(best)
        with unfinished(samples) as temporary:
            write(tokens, model, settings.sample, source=best, to=temporary)
        realism = compare(tokens, data, settings, folder.path / "plots")
        results["samples"] = {"n": len(tokens), "length": settings.sample.length, **realism.facts}
        log.info("samples: %s", realism.text)
    write_text(folder.path / "results.json", json.dumps(results, indent=2))
    log.info("results in %s: results.json, samples, plots/", folder.path)


def _draw_training(folder: RunFolder, model: DiffusionModel, test: Estimate, levels: Levels) -> None:
    """The learning curve; beside baselines and the test's figure where they can be compared with it."""
    unit, rows = unit_of(model.objective.likelihood, levels.letter), read_metrics(folder.metrics)
    beside: dict[str, Any] = {"lines": {}}
    if model.objective.likelihood is not Likelihood.NONE:
        beside = {"lines": levels.lines(), "band": levels.source, "test": test.bits_per_base}
    train, valid = (curve(rows, f"{name}_{unit.name}") for name in ("train", "valid"))
    draw_training(folder.path / "plots" / "training.png", train, valid, unit=unit.text, **beside)
