import json
import os
import random
import re
import shutil
import signal
import subprocess

import pytest
import torch
from oracle import silent_if_wrong

from dnadiff import checkpoint
from dnadiff.config import Settings
from dnadiff.errors import InputError
from dnadiff.files import TEMPORARY, sha256
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.run import RunFolder, find_checkpoint
from dnadiff.vocab import DNA


def truncated(data, chance):
    return data[: chance.randrange(len(data))]


def flipped(data, chance):
    bit = chance.randrange(8 * len(data))
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


class Part(Settings):
    """Some settings."""

    seed: int = 0
    workers: int = 0


class Whole(Settings):
    """Settings of a run."""

    train: Part = Part()
    sample: Part = Part()


@pytest.fixture
def run(tmp_path):
    """A run with checkpoints at 1, 2, 3, 4; the best by validation is 2."""
    run = RunFolder(tmp_path)
    for step, bits in [(1, 1.9), (2, 1.7), (3, None), (4, 1.8)]:
        folder = run.checkpoint(step)
        folder.mkdir(parents=True)
        for name in ("config.yaml", "vocab.json", "weights.safetensors"):
            (folder / name).write_text("w")
        files = {path.name: sha256(path) for path in folder.iterdir()}
        (folder / "manifest.json").write_text(json.dumps({"format": 1, "valid_bits": bits, "sha256": files}))
    return run


def test_newest_and_best(run):
    assert run.steps() == [1, 2, 3, 4]
    assert run.newest() == run.checkpoint(4)
    assert run.best() == run.checkpoint(2)


@pytest.mark.case(8)
@pytest.mark.parametrize(("damage", "full"), [(truncated, 20), (flipped, 50)])
def test_a_damaged_newest_is_passed_over_with_a_warning(tmp_path, caplog, trials, damage, full):
    run, model = RunFolder(tmp_path), DiffusionModel(ModelConfig(model=Caduceus(width=8, n_layers=1)), DNA)
    for step in (1, 2):
        state = {"weights.safetensors": model.state_dict()}
        about = {"step": step, "valid_bits": 1.5}
        checkpoint.write(run.checkpoint(step), model.config, DNA, state, about=about, training={"a": torch.ones(9)})
    shutil.copytree(run.checkpoint(2), tmp_path / "intact")
    for trial in range(trials(full)):
        chance = random.Random(trial)
        file = chance.choice(sorted(run.checkpoint(2).iterdir()))
        file.write_bytes(damage(file.read_bytes(), chance))
        with silent_if_wrong():
            assert run.newest() == run.checkpoint(1)
            with pytest.raises(InputError, match="damaged"):
                checkpoint.load(run.checkpoint(2))
        assert caplog.messages.pop().endswith("; trying an older one")
        caplog.clear()
        shutil.copy(tmp_path / "intact" / file.name, file)
    assert run.newest() == run.checkpoint(2)


@pytest.mark.case(19)
def test_clocks_do_not_say_which_is_the_newest(run):
    for step, seconds in [(1, 4e9), (2, 3e9), (3, 1e9), (4, 0)]:
        for path in [*run.checkpoint(step).iterdir(), run.checkpoint(step)]:
            os.utime(path, (seconds, seconds))
    assert run.newest() == run.checkpoint(4)
    assert run.best() == run.checkpoint(2)
    run.prune(2)
    assert run.steps() == [2, 3, 4]


@pytest.fixture
def closed(tmp_path):
    """A folder that nothing can be written into, by root neither."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    is_root = os.geteuid() == 0
    if is_root and subprocess.run(["chattr", "+i", folder], capture_output=True, check=False).returncode:
        pytest.skip("root writes anywhere, and this file system makes nothing immutable")
    yield folder
    if is_root:
        subprocess.run(["chattr", "-i", folder], check=True)


@pytest.mark.case(7)
def test_a_place_that_cannot_be_written_is_refused(closed, tmp_path):
    (tmp_path / "file").touch()
    for path in (closed, closed / "run", tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InputError, match=r"cannot be a run folder \(.*\); choose another --out"), locked(path):
            pass


def locked(path):
    return RunFolder(path).locked()


def test_prune_keeps_the_newest_and_the_best(run):
    run.prune(2)
    assert run.steps() == [2, 3, 4]


def test_find_checkpoint_takes_a_run_or_a_checkpoint(run, tmp_path):
    assert find_checkpoint(run.path) == run.checkpoint(2)
    assert find_checkpoint(run.checkpoint(1)) == run.checkpoint(1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no finished checkpoint"):
        find_checkpoint(tmp_path / "empty")
    with pytest.raises(InputError, match="no such folder"):
        find_checkpoint(tmp_path / "none")


def test_settings_are_recorded_once_and_compared_after(tmp_path):
    run = RunFolder(tmp_path)
    for _ in range(2):
        run.claim(Whole(train=Part(seed=2)))
    with pytest.raises(InputError, match=r"other settings \(train\.seed was 2, is 3\); choose another --out or remove"):
        run.claim(Whole(train=Part(seed=3)))


@pytest.mark.case(15)
def test_settings_that_are_safe_to_change_are_changed_by_force_and_others_are_not(tmp_path, caplog):
    run, safe = RunFolder(tmp_path), ("sample", "train.workers")
    run.claim(Whole())
    both = Whole(train=Part(workers=2), sample=Part(seed=3))
    with pytest.raises(InputError, match=r"sample\.seed was 0, is 3, train\.workers was 0, is 2\); .*, or --force"):
        run.claim(both, safe=safe)
    run.claim(both, safe=safe, force=True)
    assert "going on with other settings: sample.seed was 0, is 3, train.workers was 0, is 2" in caplog.text
    run.claim(both)
    with pytest.raises(InputError, match=r"train\.seed was 0, is 1, train\.workers was 2, is 0\).* or remove it$"):
        run.claim(Whole(train=Part(seed=1), sample=Part(seed=3)), safe=safe, force=True)


def test_a_setting_that_is_new_since_a_run_was_begun_had_its_default(tmp_path):
    (tmp_path / "config.yaml").write_text("train:\n  seed: 1\n")
    run = RunFolder(tmp_path)
    run.claim(Whole(train=Part(seed=1)))
    with pytest.raises(InputError, match=r"sample\.workers was 0, is 1\)"):
        run.claim(Whole(train=Part(seed=1), sample=Part(workers=1)))


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"holds 'thesis\.tex' and is no run folder"):
        RunFolder(tmp_path).claim(Whole())


def test_settings_that_swap_their_values_are_other_settings(tmp_path):
    run = RunFolder(tmp_path)
    run.claim(Whole(train=Part(seed=1)))
    with pytest.raises(InputError, match=r"sample\.seed was 0, is 1, train\.seed was 1, is 0"):
        run.claim(Whole(sample=Part(seed=1)))


def test_a_folder_that_only_looks_like_a_checkpoint_is_passed_over(run):
    run.checkpoint(4).with_name("step-00000004.bak").mkdir()
    assert run.steps() == [1, 2, 3, 4]


@pytest.mark.case(16)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_second_process_is_kept_out_and_a_dead_one_is_not(run, caplog):
    def try_in_child():
        child = os.fork()
        if child == 0:
            try:
                with run.locked():
                    os.kill(os.getpid(), signal.SIGKILL)
            except InputError as error:
                os._exit(7 if f"process {os.getppid()} on " in str(error) else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with run.locked():
        assert try_in_child() == 7
        (run.path / f"{TEMPORARY}of-another").touch()
    assert try_in_child() == -signal.SIGKILL
    assert not caplog.text
    with run.locked():
        assert re.search(rf"process \d+ on {os.uname().nodename} ended before it was done; going on", caplog.text)
        assert not list(run.path.glob(f"{TEMPORARY}*"))
    caplog.clear()
    with run.locked():
        assert not caplog.text


def test_the_manifest_grows(run):
    run.add_to_manifest(a=1)
    run.add_to_manifest(b=2)
    assert json.loads(run.manifest.read_text()) == {"a": 1, "b": 2}
