"""Workers that are lost: what is said of the first, though others end while it is said."""

import pytest

from dnadiff.errors import ResourceError
from dnadiff.training.workers import lost_workers

KILLED = "DataLoader worker (pid(s) 7) exited unexpectedly"


def test_a_second_worker_that_ends_meanwhile_does_not_hide_the_first():
    ends = iter([RuntimeError(KILLED), RuntimeError(KILLED)])

    def reading():
        for end in ends:
            raise end
        return "step 3"

    with pytest.raises(ResourceError, match=r"^step 3: a process that reads ahead was killed"), lost_workers(reading):
        raise RuntimeError(KILLED)


def test_other_errors_are_left_as_they_are():
    def broken():
        raise RuntimeError("no such row")

    with pytest.raises(RuntimeError, match=r"^no such row$"), lost_workers(broken):
        raise RuntimeError(KILLED)
    with pytest.raises(RuntimeError, match=r"^mine$"), lost_workers(str):
        raise RuntimeError("mine")
