"""Many motifs at once are counted as one by one."""

import numpy as np

from dnadiff.data.motifs import matches, read_motifs
from dnadiff.dna import reverse_complement
from dnadiff.report.motif_counts import count_matches

P = 0.01


def test_counts_are_those_of_single_matches_on_both_strands(tmp_path):
    rng = np.random.default_rng(0)
    tables = [rng.integers(0, 20, (width, 4)) for width in (3, 8, 12)]
    text = "".join(
        f">M{i}\n" + "".join(f"{a}\t{b}\t{c}\t{d}\n" for a, b, c, d in table) for i, table in enumerate(tables)
    )
    (tmp_path / "m.pfm").write_text(text)
    motifs = read_motifs(tmp_path / "m.pfm")
    rows = rng.integers(7, 11, (5, 300)).astype(np.uint8)
    rows[1, 40:60] = 11
    expected = [[len({match.start for match in matches(row, motif, P)}) for motif in motifs] for row in rows]
    assert np.array_equal(count_matches(rows, motifs, P), expected)
    assert np.array_equal(count_matches(reverse_complement(rows), motifs, P), expected)
    assert np.array(expected)[:, 1:].min() > 0
    assert not count_matches(rows, motifs, 1e-9)[:, 0].any()
