"""Rows that are tested on are not read while anything is still chosen."""

import pytest

from dnadiff.data.window_set import WindowSet
from dnadiff.tasks import train


@pytest.mark.case(49)
def test_no_test_window_is_read_until_training_has_ended(settings, tmp_path, monkeypatch):
    reads: dict[str, set[int]] = {"before": set(), "fitting": set(), "after": set()}
    now = "before"
    read, fit = WindowSet.rows, train.fit

    def watched_rows(self, indices, *, epoch):
        reads[now].update(self.windows.split.tolist())
        return read(self, indices, epoch=epoch)

    def watched_fit(*arguments, **named):
        nonlocal now
        now = "fitting"
        fit(*arguments, **named)
        now = "after"

    monkeypatch.setattr(WindowSet, "rows", watched_rows)
    monkeypatch.setattr(train, "fit", watched_fit)
    train.run(settings, tmp_path / "run")
    assert reads["fitting"] == {0, 1}  # train and valid, by which the best weights are chosen
    assert reads["after"] >= {2}
