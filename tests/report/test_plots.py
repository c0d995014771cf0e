import numpy as np
from matplotlib.image import imread

from dnadiff.report.plots import draw_spectra, draw_training


def rows(n):
    return [{"step": str(i), "train_bits": str(2 - i / 50), "valid_bits": "1.9" if i % 2 else ""} for i in range(1, n)]


def test_pictures_are_drawn_whole_and_not_blank(tmp_path):
    path = tmp_path / "plots" / "training.png"
    draw_training(path, rows(20), lines={"uniform": 2.0}, band=(1.7, 1.75), test=(1.8, 1.79, 1.81))
    share = np.full(16, 1 / 16)
    spectra = {"real": share, "samples": share, "shuffled": share}
    gc = {"real": np.array([0.4, 0.5]), "samples": np.array([0.45, 0.5])}
    draw_spectra(tmp_path / "plots" / "kmers.png", spectra, gc, n=2, k=2)
    for picture in (tmp_path / "plots").iterdir():
        assert imread(picture).std() > 0.05
    assert len(list((tmp_path / "plots").iterdir())) == 2


def test_a_run_of_one_step_without_validation_can_be_drawn(tmp_path):
    draw_training(tmp_path / "a.png", [{"step": "1", "train_bits": "2.0", "valid_bits": ""}], lines={})
    assert (tmp_path / "a.png").stat().st_size > 1000
