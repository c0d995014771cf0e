"""`dnadiff classify`: run what is not finished, one unit after the other, and write the table as results come."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing.connection import wait
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import numpy as np
import torch
import typer

from dnadiff.data.labelled.glue import find_tasks
from dnadiff.data.labelled.open import find_set, find_sets
from dnadiff.errors import InputError, InterruptedRun, ResourceError
from dnadiff.inference.draws import Shard
from dnadiff.inference.scores import TITLES, Predictions, score
from dnadiff.run import RunFolder
from dnadiff.shown import speak
from dnadiff.tasks.classify import units
from dnadiff.tasks.classify.opened import OpenedSet, open_for
from dnadiff.tasks.classify.settings import ClassifyConfig, GlueData
from dnadiff.tasks.classify.table import write_table
from dnadiff.tasks.classify.units import Unit
from dnadiff.tasks.machine import machine, versions
from dnadiff.tasks.progress import logged, warned
from dnadiff.world import WORK_PATIENCE, gathered, joined

log = logging.getLogger("dnadiff")
BENCHMARK, GLUE = "genomic_benchmarks", "glue"
HOME = Path("data") / BENCHMARK
TABLE_SECONDS = 30.0  # between tables that are written while units are still run


class Plan(NamedTuple):
    """What a command asks for.

    Attributes:
        settings: of every unit.
        sets: paths by name.
        all_of_folder: whether sets that cannot be read are passed over.
        out: folder of the results.
        shard: which of the units.
    """

    settings: ClassifyConfig
    sets: Mapping[str, Path]
    all_of_folder: bool
    out: Path
    shard: Shard

    def units(self, name: str) -> list[Unit]:
        """Those of a set that fall to the shard."""
        everything = [unit for each in self.sets for unit in units.planned(self.settings, each)]
        mine = everything[self.shard.number - 1 :: self.shard.n_shards]
        return [unit for unit in mine if unit.set_name == name]


def find(what: str, folder: str | None, settings: ClassifyConfig) -> tuple[dict[str, Path], bool]:
    """Paths of the sets that a word means, and whether it means all of a folder.

    Args:
        what: `genomic_benchmarks`, `genomic_benchmarks/SET`, the same of `glue`, or a path of a user's own set.
        folder: where the benchmark's sets are; None for the usual places.

    Raises:
        InputError: there is no such set.
    """
    suite, _, name = what.partition("/")
    data = settings.data
    if isinstance(data, GlueData) != (suite == GLUE):
        raise InputError(f"{what}: is read by another protocol than that of --protocol; leave that out")
    if isinstance(data, GlueData):
        home = Path(folder or Path("data") / GLUE).expanduser()
        return ({name: find_set(home, name, find_tasks)} if name else find_tasks(home)), not name
    if suite != BENCHMARK:
        path = Path(what).expanduser()
        if folder is not None:
            raise InputError(f"--data {folder}: is for {BENCHMARK}; {what} is a path of its own, leave --data out")
        return {path.name.split(".")[0].removesuffix("_v0"): path}, False
    lists = HOME / "intervals"
    home = Path(folder).expanduser() if folder else lists if data.ref and lists.is_dir() else HOME
    return ({name: find_set(home, name)} if name else find_sets(home)), not name


def default_out(settings: ClassifyConfig) -> Path:
    """Where results go unless the user says otherwise: a folder for each protocol, method and model."""
    what = GLUE if isinstance(settings.data, GlueData) else settings.protocol.kind
    return Path("runs") / f"classify-{what}-{settings.method}-{settings.origin.replace(' ', '-')}"


def run(plan: Plan, *, jobs: int = 1) -> None:
    """Run the units that are not finished, and print the table; several processes share the units.

    Raises:
        InputError: sets that cannot be read, or a folder of other settings.
        InterruptedRun: the user stopped it; finished units are kept.
    """
    folder = RunFolder(plan.out)
    try:
        with joined(WORK_PATIENCE) as here:
            if here.is_first:
                _begin(plan, folder)
            gathered(None)  # nobody works in a folder that is refused
            with logged(plan.out / "log.txt"), _terminated_like_interrupted():
                mine = plan._replace(shard=plan.shard.part(here))
                if jobs > 1:
                    _work_together(mine, jobs)
                else:
                    _work(mine)
                gathered(None)  # all units are there
                if not here.is_first:
                    return
                text = write_table(plan.settings, plan.out, list(plan.sets), pictures=True)
    except KeyboardInterrupt:
        raise InterruptedRun("interrupted; the same command goes on with what is not finished") from None
    folder.add_to_manifest(warnings=warned(plan.out / "log.txt"))
    typer.echo(text)
    log.info("table.md, table.tsv, predictions and plots are in %s", plan.out)


def dry_run(plan: Plan) -> str:
    """What `run` would do."""
    lines = []
    for name, data in _opened(plan):
        found = plan.units(name)
        done = sum(units.read_facts(plan.out, unit, data.fingerprint) is not None for unit in found)
        fold = data.fold(plan.settings, 1, 1)
        sizes = f"{len(fold.train):,} to learn from, {len(fold.valid):,} to choose by, {len(fold.test):,} to test on"
        what = f"{len(data.classes)} classes" if data.classes else "a number for each row"
        lines.append(f"{name}: {what}, {sizes}; {len(found)} units, {done} of them finished")
    return "\n".join(lines)


def _begin(plan: Plan, folder: RunFolder) -> None:
    """Record the settings, or compare them with those of an earlier run; errors as of `RunFolder.claim`."""
    plan.out.mkdir(parents=True, exist_ok=True)
    folder.claim(plan.settings)
    folder.add_to_manifest(
        command=sys.argv, started=datetime.now().astimezone().isoformat(timespec="seconds"), versions=versions(),
        machine=machine(), sets={name: str(path) for name, path in plan.sets.items()},
        assumptions=plan.settings.assumptions,
    )  # fmt: skip


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Inside the block SIGTERM does what Ctrl-C does, so that worker processes are ended as well."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # which alone may handle signals
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _work_together(plan: Plan, jobs: int) -> None:
    """Let processes share the units; when one fails, or the user stops, all are killed: finished units are whole.

    Raises:
        Exception: what ended a process.
        ResourceError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    errors: SimpleQueue[Exception] = context.SimpleQueue()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    workers = [context.Process(target=_start, args=(threads, plan, errors)) for _ in range(jobs)]
    try:
        for worker in workers:
            worker.start()
        while running := [worker.sentinel for worker in workers if worker.is_alive()]:
            if any(worker.exitcode for worker in workers):
                break
            wait(running)
    finally:
        for worker in workers:
            if worker.is_alive():
                worker.kill()
                worker.join()
    if not errors.empty():
        raise errors.get()
    if any(worker.exitcode for worker in workers):
        raise ResourceError("a worker process was ended from outside, maybe for want of memory; use fewer --jobs")


def _start(threads: int, plan: Plan, errors: SimpleQueue[Exception]) -> None:
    """What a worker process does; Ctrl-C, which reaches every process of a terminal, is answered by the first alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    speak()
    torch.set_num_threads(threads)
    try:
        with logged(plan.out / "log.txt"):
            _work(plan)
    except Exception as error:
        errors.put(error)  # the traceback is lost on the way, but log.txt has it
        sys.exit(1)


def _work(plan: Plan) -> None:
    """Run every unit of the shard that is not finished and that nobody else is at."""
    began, n_run = time.monotonic(), 0
    next_table = began + TABLE_SECONDS
    total = sum(len(plan.units(name)) for name in plan.sets)
    for name, data in _opened(plan):
        what = f"classes {', '.join(data.classes[:6])}" if data.classes else "a number for each"
        log.info("%s: %s rows, %s", name, f"{len(data.examples):,}", what)
        for unit in plan.units(name):
            with units.held(plan.out, unit) as is_ours:
                if not is_ours:
                    units.read_facts(plan.out, unit, data.fingerprint)
                    total -= 1
                    continue
                text = run_unit(plan, unit, data)
            n_run += 1
            left = (time.monotonic() - began) / n_run * (total - n_run)
            log.info("%s: %s  (%d of %d, ETA %s)", unit, text, n_run, total, timedelta(seconds=round(left)))
            if (now := time.monotonic()) > next_table:
                write_table(plan.settings, plan.out, list(plan.sets), pictures=False)
                took = time.monotonic() - now
                next_table = now + max(TABLE_SECONDS, 20 * took)


def _opened(plan: Plan) -> Iterator[tuple[str, OpenedSet]]:
    """The sets that have units for this shard, one at a time."""
    n_opened, problems = 0, []
    for name, path in plan.sets.items():
        if not plan.units(name):
            continue
        try:
            data = open_for(plan.settings, path)
        except InputError as error:
            if not plan.all_of_folder:
                raise
            log.warning("%s; passed over", error)
            problems.append(error)
            continue
        n_opened += 1
        yield name, data
    if problems and not n_opened:
        raise problems[0]


def run_unit(plan: Plan, unit: Unit, data: OpenedSet) -> str:
    """Run a unit and write its folder; its first figures, in words."""
    from dnadiff.tasks.classify import methods  # only here: it takes seconds, and there may be nothing to run
    from dnadiff.tasks.classify.task import Task

    began = time.monotonic()
    settings, fold = plan.settings, data.fold(plan.settings, unit.fold, unit.seed)
    task = Task(settings, data.hiding(fold.test), fold, unit.seed)
    outcome = methods.run(unit.method, task)
    label, learnt = data.examples.label[fold.test], np.concatenate([fold.train, fold.valid])
    probabilities = units.rounded(outcome.probabilities)
    scores = score(label, probabilities)
    minutes = (time.monotonic() - began) / 60
    facts = {
        **unit._asdict(), "classes": data.classes, "data": data.fingerprint, **scores._asdict(),
        "n_learnt": len(learnt), "n_available": _available(data, plan, fold.test), "n_test": len(label),
        "epochs": settings.train.epochs, **outcome.facts, "minutes": minutes,
    }  # fmt: skip
    related = np.isin(data.group[fold.test], data.group[learnt])
    predictions = Predictions(unit.seed, data.group[fold.test], label, probabilities)
    result = units.Result(unit, facts, data.examples.names[fold.test].tolist(), related, predictions)
    units.write(plan.out, result, outcome.save)
    names = settings.of_set(unit.set_name).figures[:2]
    told = [f"{TITLES[name]} {getattr(scores, name):.3f}" for name in names]
    return ", ".join([*told, f"{minutes:.1f} minutes"])


def _available(data: OpenedSet, plan: Plan, test: np.ndarray) -> int:
    """Rows that could be learnt from or chosen by, at full scale."""
    is_paper = plan.settings.protocol.kind == "paper"
    return data.n_train + data.n_valid if is_paper else len(data.examples) - len(test)
