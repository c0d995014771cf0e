"""The file beside long work holds everything; the console what it asks for."""

import logging
from pathlib import Path

import pytest

from dnadiff.errors import InputError, ResourceError
from dnadiff.tasks.progress import logged, warned

log = logging.getLogger("dnadiff")


def test_the_file_holds_what_a_console_with_a_bar_does_not(tmp_path, capsys):
    console = logging.StreamHandler()
    console.setLevel(logging.INFO)
    log.addHandler(console)
    with logged(tmp_path / "log.txt"):
        log.info("said")
        log.debug("shown by the bar")
    log.removeHandler(console)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["INFO said", "DEBUG shown by the bar"]
    assert capsys.readouterr().err == "said\n"


def test_the_file_says_why_the_work_ended_with_a_traceback_where_nobody_foresaw_it(tmp_path):
    with pytest.raises(InputError), logged(tmp_path / "log.txt"):
        raise InputError("a.fa: is a folder")
    assert (tmp_path / "log.txt").read_text().endswith("a.fa: is a folder\n")
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    with pytest.raises(KeyboardInterrupt), logged(tmp_path / "log.txt"):
        raise KeyboardInterrupt
    assert (tmp_path / "log.txt").read_text().endswith("stopped by Ctrl-C\n")
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    with pytest.raises(ZeroDivisionError), logged(tmp_path / "log.txt"):
        raise ZeroDivisionError("oops")
    assert (tmp_path / "log.txt").read_text().endswith("ZeroDivisionError: oops\n")
    assert "Traceback" in (tmp_path / "log.txt").read_text()


@pytest.mark.case(6)
def test_on_a_full_disk_the_error_of_the_work_is_the_one_that_is_told(capfd):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with pytest.raises(ResourceError, match="its own words"), logged(Path("/dev/full")):
        raise ResourceError("its own words")
    assert "Traceback" not in capfd.readouterr().err


def test_warnings_are_counted_over_all_processes_and_times(tmp_path):
    path = tmp_path / "log.txt"
    assert warned(path) == {}
    for _ in range(2):
        with logged(path):
            log.warning("%s: 3 rows repeat another", "a.csv")
            log.info("said, no WARNING")
    with logged(path):
        log.warning("b\x1b[2K")
    assert warned(path) == {"a.csv: 3 rows repeat another": 2, r"b\x1b[2K": 1}
