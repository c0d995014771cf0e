"""Sets with rows of both strands, as a command opens and splits them with no setting changed."""

import numpy as np
import pytest

from dnadiff.dna import decode, encode, reverse_complement
from dnadiff.tasks.classify.opened import open_for
from dnadiff.tasks.classify.settings import resolve


@pytest.mark.case(45)
def test_who_learns_random_classes_by_heart_is_at_chance(tmp_path):
    generator = np.random.default_rng(1)
    originals = ["".join(generator.choice(list("ACGT"), 80)) for _ in range(500)]
    rows = [*originals, *(decode(reverse_complement(encode(row))) for row in originals)]
    label = np.tile(generator.integers(0, 2, 500), 2)
    text = "".join(f"{row},{'no' if number else 'yes'}\n" for row, number in zip(rows, label, strict=True))
    (tmp_path / "twins.csv").write_text(f"sequence,label\n{text}")
    settings = resolve("classify/strict", [], {})
    data = open_for(settings, tmp_path / "twins.csv")
    n_right, tested = 0, []
    for number in range(1, settings.protocol.folds + 1):
        fold = data.fold(settings, number, seed=1)
        seen = {}
        for row in np.concatenate([fold.train, fold.valid]):
            strands = (rows[row], decode(reverse_complement(encode(rows[row]))))
            seen |= dict.fromkeys(strands, data.examples.label[row])
        n_right += sum(seen.get(rows[row], 0) == data.examples.label[row] for row in fold.test)
        tested += fold.test.tolist()
    assert sorted(tested) == list(range(1000))
    assert n_right / 1000 == pytest.approx(0.5, abs=0.05)
