"""How a test tells a wrong result that nobody would have noticed from any other failure."""

from collections.abc import Iterator
from contextlib import contextmanager


class SilentlyWrong(AssertionError):
    """A result came out, without a word of warning, and was not the right one."""


@contextmanager
def silent_if_wrong() -> Iterator[None]:
    """Around the comparison of a result with what the test knows to be right: a failure counts as silently wrong."""
    try:
        yield
    except AssertionError as error:
        raise SilentlyWrong(str(error)) from error
