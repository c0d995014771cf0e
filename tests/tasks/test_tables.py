"""Tables are printed whole, and names in them are text."""

import pytest
from genomes import fasta_text, random_bases
from rich.table import Table

from dnadiff.config import resolve
from dnadiff.tasks import windows
from dnadiff.tasks.settings import TrainConfig
from dnadiff.tasks.tables import print_table


@pytest.mark.case(59)
@pytest.mark.parametrize("columns", [1, 20, 200])
def test_a_narrow_terminal_costs_no_figure(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    table = Table("contig", "bases", title="of one genome", caption="left out: 3 rows")
    table.add_row("chr1", "248,956,422")
    print_table(table)
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("contig", "bases", "chr1", "248,956,422", "genome", "3 rows"))
    assert "…" not in printed


@pytest.mark.case(58)
def test_names_of_contigs_are_no_markup(tmp_path, capsys):
    names = ["[red]a", "[/]", "[link=https://example.org]b", "<script>"]
    folder = tmp_path / "[bold]"
    folder.mkdir()
    (folder / "g.fa").write_text(fasta_text({name: random_bases(300, seed=0) for name in names}))
    words = ["data.length=64", "data.split.kind=chromosome"]
    windows.run(resolve(TrainConfig, "dna/tiny", words, **{"data.ref": str(folder / "g.fa")}))
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*names, "[bold]"])
