"""What sections say of sets that are known to differ."""

import numpy as np

from dnadiff.data.motifs import read_motifs
from dnadiff.dna import encode
from dnadiff.report import sections
from dnadiff.report.card import REAL, SAMPLES, SHUFFLED, Sets

TATA = ">M1 TATA\nA [ 0 9 0 9 9 9 ]\nC [ 0 0 0 0 0 0 ]\nG [ 0 0 0 0 0 0 ]\nT [ 9 0 9 0 0 0 ]\n"


def test_samples_with_fewer_matches_of_a_single_motif_are_below_real(tmp_path):
    """Shares alone would not tell: a single motif has all of its matches."""
    (tmp_path / "m.jaspar").write_text(TATA)
    rng = np.random.default_rng(0)
    reference, samples, real, shuffled = (
        np.stack([encode("".join(rng.choice(["TATAAA", "GCGCGC"], 20, p=[p, 1 - p]))) for _ in range(20)])
        for p in (0.5, 0.1, 0.5, 0.5)
    )
    sets = Sets(reference, {SAMPLES: samples, REAL: real, SHUFFLED: shuffled})
    found = sections.motifs(sets, read_motifs(tmp_path / "m.jaspar"), source="m", p_value=1e-3)
    rate, shares = found.figures
    assert (rate.reading, shares.reading) == ("below real", "like real")
    table = found.tables[0].rows[0]
    assert rate.by_group[SAMPLES].value == table[2] / 2.4
    assert table[2] >= 20
