"""torch.export: one program for rows of any number and length, with the network's own logits."""

import pytest
import torch
from torch.export import Dim

from dnadiff.models import Caduceus, DiT, Mamba
from dnadiff.ops import trust
from dnadiff.vocab import DNA

SMALL = {"width": 8, "n_layers": 1, "n_states": 2}
NETWORKS = {
    "dit": DiT(width=16, n_blocks=1, n_heads=2), "dit, time": DiT(width=16, n_blocks=1, n_heads=2, conditioning="time"),
    "ps": Caduceus(**SMALL), "ph, time": Caduceus(**SMALL, symmetry="ph", conditioning="time"), "mamba": Mamba(**SMALL),
}  # fmt: skip


@pytest.mark.filterwarnings("default")  # of torch, about its own parts
@pytest.mark.parametrize("name", NETWORKS)
def test_one_program_serves_rows_of_any_number_and_length(name, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "DNADIFF_CACHE", str(tmp_path)
    )  # kernels are compared with torch for the first time, in the trace
    trust.find_trouble.cache_clear()
    torch.manual_seed(0)
    network = NETWORKS[name].build(DNA).eval()
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)

    def inputs(n_rows, length):
        tokens, times = torch.randint(7, 11, (n_rows, length)), torch.rand(n_rows)
        return (tokens, times) if network.time_conditioned else (tokens,)

    shapes = ({0: Dim.AUTO, 1: Dim.AUTO}, {0: Dim.AUTO})[: 1 + network.time_conditioned]
    with torch.no_grad():
        program = torch.export.export(network, inputs(2, 24), dynamic_shapes=shapes)
        torch.export.save(program, tmp_path / "network.pt2")
        exported = torch.export.load(tmp_path / "network.pt2").module()
        for n_rows, length in ((2, 24), (3, 17), (1, 200)):
            given = inputs(n_rows, length)
            assert torch.equal(exported(*given), network(*given)), (n_rows, length)
