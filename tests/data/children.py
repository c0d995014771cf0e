"""Work in a process of its own: what it gives back, and how much memory it needs."""

import os
import pickle
import resource
import traceback
from collections.abc import Callable
from typing import Any


def in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a forked process; it must not raise there."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = True, work()
        except BaseException:
            found = False, traceback.format_exc()
        with open(writer, "wb") as answer:
            pickle.dump(found, answer)
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        content = answer.read()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    is_good, found = pickle.loads(content)
    assert is_good, found
    return found


def peak_growth(work: Callable[[], Any]) -> int:
    """Bytes by which `work` enlarges a process at its peak."""

    def measured() -> int:
        before = _peak()
        work()
        return _peak() - before

    return int(in_child(measured))


def _peak() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
