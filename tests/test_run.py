import json
import os

import pytest

from dnadiff.errors import InputError, ResourceError
from dnadiff.files import sha256
from dnadiff.run import RunFolder, find_checkpoint


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


def test_a_damaged_newest_is_passed_over_with_a_warning(run, caplog):
    (run.checkpoint(4) / "weights.safetensors").write_text("x")
    assert run.newest() == run.checkpoint(3)
    assert "damaged or missing" in caplog.text


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


def test_settings_are_recorded_once_and_compared_after(run):
    (run.path / "config.yaml").write_text("a: 1\nb: 2\n")
    run.claim("a: 1\nb: 2\n")
    with pytest.raises(InputError, match=r"other settings \(b was 2, is 3\); choose another --out"):
        run.claim("a: 1\nb: 3\n")


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(InputError, match=r"holds 'thesis\.tex' and is no run folder"):
        RunFolder(tmp_path).claim("a: 1\n")


def test_settings_that_swap_their_values_are_other_settings(run):
    (run.path / "config.yaml").write_text("train:\n  seed: 1\nsample:\n  seed: 0\n")
    with pytest.raises(InputError, match=r"sample\.seed was 0, is 1, train\.seed was 1, is 0"):
        run.claim("train:\n  seed: 0\nsample:\n  seed: 1\n")


def test_a_folder_that_only_looks_like_a_checkpoint_is_passed_over(run):
    run.checkpoint(4).with_name("step-00000004.bak").mkdir()
    assert run.steps() == [1, 2, 3, 4]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_second_process_is_kept_out_and_a_dead_one_is_not(run):
    def try_in_child():
        child = os.fork()
        if child == 0:
            try:
                with run.locked():
                    os._exit(0)
            except ResourceError as error:
                os._exit(7 if f"process {os.getppid()} on " in str(error) else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with run.locked():
        assert try_in_child() == 7
    assert try_in_child() == 0
    with run.locked():  # the child ended without letting go
        pass


def test_the_manifest_grows(run):
    run.add_to_manifest(a=1)
    run.add_to_manifest(b=2)
    assert json.loads(run.manifest.read_text()) == {"a": 1, "b": 2}
