"""Nothing is done twice, and nothing is lost, however it is killed and by how many processes it is shared."""

import contextlib
import io
import multiprocessing
import os
import re
import signal
import time

import pytest

from dnadiff import files
from dnadiff.errors import DivergedError, InputError, InterruptedRun, ResourceError
from dnadiff.inference.draws import Shard
from dnadiff.tasks.classify import methods, run, units
from dnadiff.tasks.classify.task import Outcome


def without_minutes(text: str) -> str:
    return re.sub(r"\| [\d.]+ \|\n", "|\n", text)


def in_child(work, n_flushes: int) -> int:
    """Status of a child process that works and is killed when it flushes for the n-th time."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    flush, left = files.flush, iter(range(n_flushes))

    def flush_or_die(path):
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(path)

    files.flush = flush_or_die
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            work()
    except BaseException:
        os._exit(1)
    os._exit(0)


def test_killed_at_any_write_it_goes_on_and_ends_with_the_same_table(plan, quick, tiny, tmp_path, monkeypatch):
    reference = tmp_path / "reference"
    run.run(plan(quick, tiny, reference))
    out, log = tmp_path / "killed", tmp_path / "units.txt"
    original = methods.run

    def counted(method, task):
        with log.open("a") as file:
            file.write(f"{method} {task.fold.test[:3].tolist()}\n")
        return original(method, task)

    monkeypatch.setattr(methods, "run", counted)
    n_kills, status = 0, 1
    for n_flushes in range(2, 60, 2):
        status = in_child(lambda: run.run(plan(quick, tiny, out)), n_flushes)
        if not os.WIFSIGNALED(status):
            break
        n_kills += 1
    assert os.WEXITSTATUS(status) == 0
    assert n_kills >= 5
    texts = [without_minutes((folder / "table.md").read_text()) for folder in (reference, out)]
    assert texts[0] == texts[1]
    started = log.read_text().splitlines()
    assert len(set(started)) == 6
    assert len(started) <= 6 + n_kills  # a killed unit starts anew, a finished one never
    assert not list(out.rglob(".unfinished-*-fold-*"))


def test_ctrl_c_keeps_what_is_finished(plan, quick, tiny, tmp_path, monkeypatch):
    n_run = []

    def interrupted(method, task):
        n_run.append(method)
        if len(n_run) == 3:
            raise KeyboardInterrupt
        return Outcome(original("majority", task).probabilities)

    original = methods.run
    monkeypatch.setattr(methods, "run", interrupted)
    with pytest.raises(InterruptedRun, match="the same command goes on with what is not finished"):
        run.run(plan(quick, tiny, tmp_path / "run"))
    assert len(list((tmp_path / "run").rglob("result.json"))) == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("result.json", text) for text in ("", "{", "[]", "{}", "[" * 100_000, '{"data": "x", "classes": 3}')),
        *(("predictions.tsv", text) for text in ("row\nx", "row\nx\t1\t0\tnobody\tpoor\t0.5\t0.5\n")),
    ],
)
def test_a_damaged_unit_is_told_and_how_to_go_on(name, text, finished_units):
    settings, out = finished_units
    unit = units.planned(settings, "tiny")[0]
    path = unit.folder(out) / name
    before = path.read_text()
    path.write_text(text)
    try:
        with pytest.raises(InputError, match=rf"{path.parent.name}: damaged; remove it, and it is run again"):
            units.read(out, unit)
    finally:
        path.write_text(before)
    assert units.read(out, unit) is not None


@pytest.fixture(scope="module")
def finished_units(plan, quick, tiny, tmp_path_factory):
    """Settings, and the folder of a finished run."""
    settings = quick.model_copy(update={"baselines": ("majority",)})
    out = tmp_path_factory.mktemp("out") / "run"
    run.run(plan(settings, tiny, out))
    return settings, out


def test_shards_meet_in_one_folder(plan, quick, tiny, tmp_path):
    reference, out = tmp_path / "reference", tmp_path / "shards"
    run.run(plan(quick, tiny, reference))
    for number in (2, 1):
        run.run(plan(quick, tiny, out, shard=Shard(number, 2)))
    texts = [without_minutes((folder / "table.md").read_text()) for folder in (reference, out)]
    assert texts[0] == texts[1]


@pytest.fixture
def _forked(monkeypatch):
    """Workers that need not import everything again."""
    context = multiprocessing.get_context("fork")
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: context)


@pytest.mark.usefixtures("_forked")
def test_jobs_share_the_units(plan, quick, tiny, tmp_path):
    reference, out = tmp_path / "reference", tmp_path / "jobs"
    run.run(plan(quick, tiny, reference))
    run.run(plan(quick, tiny, out), jobs=2)
    texts = [without_minutes((folder / "table.md").read_text()) for folder in (reference, out)]
    assert texts[0] == texts[1]
    assert len(set(re.findall(r"tiny (\w+, fold \d), .* accuracy", (out / "log.txt").read_text()))) == 6
    run.run(plan(quick, tiny, out), jobs=2)


def stop_parent():
    os.kill(os.getppid(), signal.SIGTERM)  # Ctrl-C is not heard by what runs in the background
    time.sleep(60)


def diverge():
    raise DivergedError("step 3: the loss is nan")


@pytest.mark.usefixtures("_forked")
@pytest.mark.parametrize(
    ("event", "kind", "message"),
    [
        (diverge, DivergedError, "step 3: the loss is nan"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), ResourceError, "ended from outside, .* use fewer --jobs"),
        (lambda: [][1], IndexError, "list index out of range"),
        (stop_parent, InterruptedRun, "the same command goes on with what is not finished"),
    ],
)
def test_what_ends_a_worker_ends_them_all_and_is_told(event, kind, message, plan, quick, tiny, tmp_path, monkeypatch):
    def end_or_hang(method, task):
        try:
            (tmp_path / "first").touch(exist_ok=False)
        except FileExistsError:  # both are started: a signal while this process forks would be lost, and its locks held
            event()
        time.sleep(60)

    monkeypatch.setattr(methods, "run", end_or_hang)
    began = time.monotonic()
    with pytest.raises(kind, match=message):
        run.run(plan(quick, tiny, tmp_path / "run"), jobs=2)
    assert not multiprocessing.active_children()
    assert time.monotonic() - began < 30


def test_a_unit_that_another_process_holds_is_left_to_it(plan, quick, tiny, tmp_path):
    out = tmp_path / "run"
    unit = units.planned(quick, "tiny")[0]
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        with units.held(out, unit) as is_ours:
            os.write(write_end, b"1" if is_ours else b"0")
            signal.pause()
    is_childs = os.read(read_end, 1) == b"1"
    with units.held(out, unit) as is_ours:
        both = is_ours
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert is_childs
    assert not both
    with units.held(out, unit) as is_ours:
        assert is_ours
