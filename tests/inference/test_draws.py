"""Draws that are kept beside an output are data: what is none is refused, and nothing in it is run."""

import io
import json

import numpy as np
import pytest
from hostile import pickles

from dnadiff.errors import InputError
from dnadiff.inference.draws import Draws, DrawsFile


def packed(save, *arrays, **named):
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


@pytest.mark.case(50)
def test_hostile_draws_are_never_run(tmp_path):
    path = tmp_path / "x.json.draws-1-of-1.npz"
    plain = [packed(np.save, np.zeros(3)), packed(np.savez, claim="[" * 100_000), packed(np.savez, claim="{}")]
    for content in [*pickles(tmp_path / "ran").values(), *plain, b"", b"PK"]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read .*; remove it, and all is drawn again"):
            DrawsFile(path, {}).load(Draws.empty(1, 2, 1))
        assert not (tmp_path / "ran").exists()


def test_what_is_kept_comes_back(tmp_path):
    path, claim = tmp_path / "x.npz", {"model": "m", "settings": {"a": [1, None]}}
    draws = Draws.empty(1, 2, 1)
    with DrawsFile(path, claim).keeping(draws) as save:
        draws.put(0, 1, np.array([0.5]), np.array([3]))
        save()
    again = Draws.empty(1, 2, 1)
    DrawsFile(path, json.loads(json.dumps(claim))).load(again)
    assert again.done.tolist() == [[False, True]]
    assert again.nats[0, 1] == 0.5
