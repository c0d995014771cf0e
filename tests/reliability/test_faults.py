"""Full disks, little memory, workers that raise, die or hang: a line that says so, and nothing is lost."""

import os
import re
import resource
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from oracle import silent_if_wrong
from small_runs import PLAIN, RandomRows, ended, forked, goes_on, result

from dnadiff import checkpoint
from dnadiff.errors import ResourceError
from dnadiff.files import TEMPORARY
from dnadiff.model import DiffusionModel
from dnadiff.run import RunFolder
from dnadiff.training.metrics import Metrics, read_metrics


def fill(disk, *, but_for):
    """Leave so many bytes free."""
    with (disk / "filler").open("ab") as file:
        file.write(bytes(max(0, shutil.disk_usage(disk).free - but_for)))


@pytest.mark.case(6)
@pytest.mark.parametrize(("free", "foreseen"), [(0, True), (24_000, False), (100_000, False)])
def test_a_full_disk_ends_a_run_whose_last_checkpoint_stays(small_disk, whole, monkeypatch, free, foreseen):
    path = small_disk / "run"
    if not foreseen:  # as if it filled up while the checkpoint is written
        require, asked = checkpoint._require_room, []
        monkeypatch.setattr(checkpoint, "_require_room", lambda *a: require(*a) if asked.count(a) else asked.append(a))
    rows = RandomRows(lambda n_reads: fill(small_disk, but_for=free) if n_reads == 5 else None)
    with pytest.raises(
        ResourceError, match=r"disk is full: [\d,]+ bytes are needed, [\d,]+ are free; make room"
    ) as told:
        PLAIN.changed(rows=rows).run(path)
    assert told.value.exit_code == 3
    run = RunFolder(path)
    assert run.steps() == [3]
    checkpoint.verify(run.checkpoint(3))
    assert not list(path.rglob(f"{TEMPORARY}*"))
    (small_disk / "filler").unlink()
    goes_on(PLAIN, path, whole)


@pytest.mark.case(6)
def test_a_run_may_keep_going_until_there_is_room_again(small_disk, whole, caplog):
    def at(n_reads):
        if n_reads == 5:
            fill(small_disk, but_for=0)
        if n_reads == 9:
            (small_disk / "filler").unlink()

    run = PLAIN.changed(rows=RandomRows(at), keep_going=True).run(small_disk / "run")
    assert caplog.text.count("training on without it") == 1
    with silent_if_wrong():
        assert result(run) == result(whole)


@pytest.mark.case(6)
def test_a_run_that_keeps_going_does_not_end_without_its_weights(small_disk):
    rows = RandomRows(lambda n_reads: fill(small_disk, but_for=0) if n_reads == 5 else None)
    with pytest.raises(ResourceError, match=r"step-00000020: the disk is full"):
        PLAIN.changed(rows=rows, keep_going=True).run(small_disk / "run")


@pytest.mark.case(6)
def test_metrics_on_a_full_disk_hold_whole_rows(small_disk):
    metrics = Metrics(small_disk / "metrics.csv", max_steps=1000)
    metrics.start(0)
    fill(small_disk, but_for=0)

    def write():
        for step in range(1, 1000):
            metrics.write(step=step, train=1 / 3, valid=None, lr=1e-3, grad_norm=1 / 7)

    with pytest.raises(ResourceError, match=r"metrics\.csv: the disk is full"):
        write()
    rows = read_metrics(small_disk / "metrics.csv")
    assert {row["train_bits"] for row in rows} == {repr(1 / 3)}
    assert (small_disk / "metrics.csv").read_text().endswith("\n")
    assert 0 < len(rows) < 900


def ask_for_too_much():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, resource.RLIM_INFINITY))
    torch.ones(2**28)


@pytest.mark.case(12)
@pytest.mark.parametrize("where", ["host", "gpu"])
def test_out_of_memory_ends_with_advice(tmp_path, whole, monkeypatch, where):
    path, n_losses, loss = tmp_path / "run", [], DiffusionModel.loss

    def short_of_memory(self, batch, noise):
        n_losses.append(1)
        if len(n_losses) == 5:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return loss(self, batch, noise)

    rows = RandomRows(lambda n_reads: ask_for_too_much() if where == "host" and n_reads == 5 else None)
    with monkeypatch.context() as patch:
        if where == "gpu":
            patch.setattr(DiffusionModel, "loss", short_of_memory)
        process = forked(lambda: PLAIN.changed(rows=rows).run(path), said=tmp_path / "said")
    assert ended(process) == 4
    assert "out of memory; lower the batch size (train.micro_batch) or the length" in (tmp_path / "said").read_text()
    assert RunFolder(path).newest() == RunFolder(path).checkpoint(3)
    goes_on(PLAIN, path, whole)


class BrokenRow(RandomRows):
    """Row 7 cannot be read."""

    def rows(self, indices, *, epoch):
        if epoch is not None and 7 in indices:
            raise OSError(5, "Input/output error")
        return super().rows(indices, epoch=epoch)


def die(n_reads):
    if n_reads == 3:
        os.kill(os.getpid(), signal.SIGKILL)


def hang(n_reads):
    if n_reads == 3:
        time.sleep(3600)


@pytest.mark.case(13)
@pytest.mark.parametrize(
    ("rows", "workers", "message"),
    [
        (BrokenRow(), 0, r"step \d+: window 7 \(row 7\): Input/output error\n"),
        (BrokenRow(), 2, r"step \d+: window 7 \(row 7\): Input/output error\n"),
        (RandomRows(die), 2, r"step \d+, windows \d+ \(row \d+\), .* was killed, maybe for want of memory; .*\n"),
        (RandomRows(hang), 2, r"step \d+, windows \d+ \(row \d+\), .* gave nothing in time; .*\n"),
    ],
    ids=["raises", "raises in a worker", "dies", "hangs"],
)
def test_what_is_wrong_with_reading_is_said_and_ends_the_run(tmp_path, whole, rows, workers, message):
    recipe, said = PLAIN.changed(rows=rows, workers=workers, read_timeout=2), tmp_path / "said"
    process = forked(lambda: recipe.run(tmp_path / "run"), said=said)
    assert ended(process) == 3
    *steps, last = said.read_text().splitlines(keepends=True)
    assert all(step.startswith("step ") for step in steps)
    assert re.fullmatch(f"dnadiff: {message}", last)
    with pytest.raises(ProcessLookupError):
        os.killpg(process, 0)
    goes_on(PLAIN, tmp_path / "run", whole)
