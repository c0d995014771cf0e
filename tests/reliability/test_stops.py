"""Signals: a run finishes its step, saves, and says how to go on; a second one ends it at once."""

import os
import signal
import time

import pytest
from small_runs import PLAIN, RandomRows, ended, forked, goes_on, n_steps, wait_until

from dnadiff.run import RunFolder

by_signal = pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.case(9)),
        pytest.param(signal.SIGTERM, marks=pytest.mark.case(10)),
        pytest.param(signal.SIGUSR1, marks=pytest.mark.case(10)),
    ],
    ids=["ctrl-c", "sigterm", "sigusr1"],
)


def is_alone(process):
    """That nothing is left of a process and its workers."""
    with pytest.raises(ProcessLookupError):
        os.killpg(process, 0)


@by_signal
def test_a_signal_saves_within_a_step_and_says_how_to_go_on(tmp_path, whole, number):
    run = RunFolder(tmp_path / "run")

    def at(n_reads):
        if n_reads == 5:
            os.kill(os.getpid(), number)

    process = forked(lambda: PLAIN.changed(rows=RandomRows(at)).run(run.path), said=tmp_path / "said")
    assert ended(process) == 130
    assert run.steps()[-1] in (4, 5)  # a step may be read ahead
    assert n_steps(run.path) == run.steps()[-1]
    assert f"interrupted at step {run.steps()[-1]}; the same command goes on" in (tmp_path / "said").read_text()
    goes_on(PLAIN, run.path, whole)


@by_signal
def test_a_signal_to_every_process_is_outlived_by_workers_which_end_with_the_run(tmp_path, whole, number):
    path, slow = tmp_path / "run", RandomRows(lambda _: time.sleep(0.1))
    process = forked(lambda: PLAIN.changed(rows=slow, workers=2).run(path))
    assert wait_until(lambda: n_steps(path) >= 3, process=process)
    os.killpg(process, number)  # as a terminal does, and a scheduler
    assert ended(process) == 130
    is_alone(process)
    assert n_steps(path) == RunFolder(path).steps()[-1] < PLAIN.train.max_steps
    goes_on(PLAIN, path, whole)


@pytest.mark.case(9)
@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_twice_ends_within_two_seconds(tmp_path, whole, workers):
    path, stuck, said = tmp_path / "run", tmp_path / "stuck", tmp_path / "said"
    n_before = 2 * max(1, workers)  # steps, until the one that is never read

    def at(n_reads):
        if n_reads == 3:
            stuck.touch()
            time.sleep(3600)

    process = forked(lambda: PLAIN.changed(rows=RandomRows(at), workers=workers).run(path), said=said)
    assert wait_until(lambda: stuck.exists() and n_steps(path) == n_before, process=process)
    os.kill(process, signal.SIGINT)
    assert wait_until(lambda: "once more stops at once" in said.read_text(), process=process)
    os.kill(process, signal.SIGINT)
    assert ended(process, within=2) == 130
    is_alone(process)
    assert "stopped at once; the same command goes on" in said.read_text()
    goes_on(PLAIN, path, whole)
