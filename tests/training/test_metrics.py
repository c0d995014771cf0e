import logging

from dnadiff.diffusion.contracts import Likelihood
from dnadiff.training.metrics import Metrics, curve, read_metrics, unit_of


def write(metrics, step, valid=None):
    metrics.count(100)
    metrics.write(step=step, train=2.0 - step / 100, valid=valid, lr=1e-3, grad_norm=0.5)


def test_rows_read_back_with_every_digit(tmp_path):
    metrics = Metrics(tmp_path / "metrics.csv", max_steps=10)
    metrics.start(0)
    write(metrics, 1)
    write(metrics, 2, valid=1 / 3)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert [row["step"] for row in rows] == ["1", "2"]
    assert [row["valid_bits"] for row in rows] == ["", repr(1 / 3)]


def test_a_resumed_run_drops_what_came_after_its_step(tmp_path):
    path = tmp_path / "metrics.csv"
    metrics = Metrics(path, max_steps=10)
    metrics.start(0)
    for step in range(1, 6):
        write(metrics, step)
    path.write_text(path.read_text() + "6,1.9")  # killed in the middle of a row
    again = Metrics(path, max_steps=10)
    again.start(3)
    write(again, 4)
    assert [row["step"] for row in read_metrics(path)] == ["1", "2", "3", "4"]


def test_without_a_terminal_there_are_plain_lines(tmp_path, caplog):
    metrics = Metrics(tmp_path / "metrics.csv", max_steps=2)
    with caplog.at_level(logging.INFO, logger="dnadiff"):
        metrics.start(0)
        write(metrics, 1, valid=1.5)
        write(metrics, 2)
        metrics.stop()
    assert "step 1/2  train 1.9900 (one step, noisy)  valid 1.5000 bits/base" in caplog.text
    assert "ETA 0:00" in caplog.text


def test_beside_a_bar_the_lines_are_for_the_file_alone(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    metrics = Metrics(tmp_path / "metrics.csv", max_steps=2)
    with caplog.at_level(logging.DEBUG, logger="dnadiff"):
        metrics.start(0)
        write(metrics, 1, valid=1.5)
        metrics.stop()
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert "step 1/2" in record.message


def test_no_file_has_no_rows(tmp_path):
    assert read_metrics(tmp_path / "none.csv") == []


def test_a_loss_that_is_no_likelihood_is_nowhere_called_bits(tmp_path, caplog):
    metrics = Metrics(tmp_path / "metrics.csv", max_steps=2, unit=unit_of(Likelihood.NONE))
    with caplog.at_level(logging.INFO, logger="dnadiff"):
        metrics.start(0)
        write(metrics, 1, valid=1.5)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert curve(rows, "train_loss") == [(1, 1.99)]
    assert curve(rows, "valid_loss") == [(1, 1.5)]
    assert "train 1.9900 (one step, noisy)  valid 1.5000 nats per predicted base" in caplog.text
    assert "bits" not in caplog.text + (tmp_path / "metrics.csv").read_text()
