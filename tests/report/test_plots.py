import numpy as np
from matplotlib.image import imread

from dnadiff.report.plots import draw_spectra, draw_training, spread_apart

TRAIN = [(step, 2 - step / 50) for step in range(1, 20)]
VALID = [(step, 1.9) for step in range(1, 20, 2)]


def test_pictures_are_drawn_whole_and_not_blank(tmp_path):
    path = tmp_path / "plots" / "training.png"
    draw_training(
        path, TRAIN, VALID, unit="bits/base", lines={"uniform": 2.0}, band=(1.7, 1.75), test=(1.8, 1.79, 1.81)
    )
    share = np.full(16, 1 / 16)
    spectra = {"real": share, "samples": share, "shuffled": share}
    gc = {"real": np.array([0.4, 0.5]), "samples": np.array([0.45, 0.5])}
    draw_spectra(tmp_path / "plots" / "kmers.png", spectra, gc, n=2, k=2)
    for picture in (tmp_path / "plots").iterdir():
        assert imread(picture).std() > 0.05
    assert len(list((tmp_path / "plots").iterdir())) == 2


def test_a_run_of_one_step_without_validation_can_be_drawn(tmp_path):
    draw_training(tmp_path / "a.png", [(1, 2.0)], [], unit="nats", lines={})
    assert (tmp_path / "a.png").stat().st_size > 1000


def test_labels_keep_their_order_and_a_distance_and_move_only_where_they_must():
    assert spread_apart([1.0, 1.5, 2.0], 0.1) == [1.0, 1.5, 2.0]
    moved = spread_apart([1.90, 1.91, 1.92, 2.5], 0.1)
    assert np.allclose(moved, [1.9, 2.0, 2.1, 2.5])
    assert spread_apart([], 0.1) == []
