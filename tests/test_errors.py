import pytest

from dnadiff import errors
from dnadiff.errors import DnadiffError, counted, nearest


def test_exit_codes_are_stable() -> None:
    codes = {
        errors.InputError: 2,
        errors.ResourceError: 3,
        errors.OutOfMemoryError: 4,
        errors.LeakError: 5,
        errors.InterruptedRun: 130,
    }
    assert {error: error.exit_code for error in codes} == codes


def test_every_error_is_one_that_a_user_can_mend() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]
    assert all(issubclass(error, DnadiffError) and error.exit_code > 0 for error in classes)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("max_stps", " (did you mean 'max_steps'?)"),
        ("MAX_STEPS", " (did you mean 'max_steps'?)"),
        ("Ch2", " (did you mean 'chr2'?)"),
        ("chr21", ""),
        ("seeds", ""),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_nearest_names_the_closest_or_nothing(name: str, hint: str) -> None:
    assert nearest(name, ["max_steps", "batch_size", "chr2", "kernels"]) == hint


def test_one_is_not_many() -> None:
    assert [counted(n, "sweep") for n in (0, 1, 5000)] == ["0 sweeps", "1 sweep", "5,000 sweeps"]
