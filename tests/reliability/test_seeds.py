"""A seed fixes every digit, whatever is around the process."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from oracle import silent_if_wrong
from small_runs import PLAIN, result

ELSEWHERE = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from small_runs import PLAIN, result
print(json.dumps(result(PLAIN.run(Path(sys.argv[2])))))
"""


@pytest.mark.case(18)
def test_another_folder_locale_time_zone_and_hash_seed_change_no_digit(tmp_path, whole):
    around = {
        "PYTHONHASHSEED": "4711",
        "LC_ALL": "C",
        "TZ": "Pacific/Kiritimati",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, Path(__file__).parent, "run"],
        cwd=tmp_path, env=os.environ | around, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows, weights = json.loads(done.stdout)
    with silent_if_wrong():
        assert ([tuple(row) for row in rows], weights) == result(whole)


@pytest.mark.case(18)
def test_another_seed_changes_every_step(tmp_path, whole):
    again, other = (result(PLAIN.changed(seed=seed).run(tmp_path / str(seed)))[0] for seed in (0, 1))
    with silent_if_wrong():
        assert again == result(whole)[0]
        assert all(mine[1] != theirs[1] for mine, theirs in zip(other, again, strict=True))


@pytest.mark.case(19)
def test_a_clock_that_runs_backwards_changes_nothing(tmp_path, whole, monkeypatch):
    began = time.time()
    monkeypatch.setattr(time, "time", lambda: 2 * began - 1e6 * time.perf_counter())
    with silent_if_wrong():
        assert result(PLAIN.run(tmp_path)) == result(whole)
