import pytest
import torch

from dnadiff.errors import InputError
from dnadiff.models import Caduceus, DiT
from dnadiff.models.dit import DiffusionTransformer
from dnadiff.models.kernels import Kernels, use_kernels
from dnadiff.vocab import DNA

NETWORKS = [Caduceus(width=8, n_layers=2, n_states=4), DiT(width=16, n_blocks=2, n_heads=2, conditioning="none")]
BY_DEFINITION = Kernels(scan="torch", conv="torch", attention="torch")


@pytest.fixture(params=NETWORKS, ids=lambda backbone: backbone.kind)
def network(request):
    torch.manual_seed(0)
    network = request.param.build(DNA).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return network


def test_the_choice_changes_what_computes_and_not_what_comes_out(network, monkeypatch):
    tokens = DNA.letter_ids[torch.randint(4, (2, 19), generator=torch.Generator().manual_seed(0))]
    fastest = network(tokens)
    use_kernels(network, BY_DEFINITION)
    for module in ("dnadiff.ops.scan.native_scan", "dnadiff.ops.conv.native_conv", "dnadiff.ops.attention._by_sdpa"):
        monkeypatch.setattr(module, lambda *_, **__: pytest.fail("asked for torch"))
    assert torch.allclose(network(tokens), fastest, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason="what is missing here is there")
def test_a_kernel_that_is_missing_is_not_replaced(network):
    kernels = Kernels(attention="flash") if isinstance(network, DiffusionTransformer) else Kernels(scan="triton")
    use_kernels(network, kernels)
    with pytest.raises(InputError, match=r"(scan|attention): .*(triton|flash)"):
        network(torch.full((1, 4), DNA.mask))


def test_a_kernel_of_an_operation_that_a_network_has_not_is_refused(network):
    kernels = Kernels(scan="native", attention="flex")
    with pytest.raises(InputError, match=r"kernels\.\w+=\w+: this network has no (scan|conv|attention); leave it at"):
        use_kernels(network, kernels)


def test_the_choice_is_in_no_checkpoint(network):
    names = set(network.state_dict())
    use_kernels(network, BY_DEFINITION)
    assert set(network.state_dict()) == names
