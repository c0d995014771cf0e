"""What a training would need: counted where nothing is computed, and the page's table by the same arithmetic."""

import re
from pathlib import Path

import pytest
import torch

from dnadiff import config
from dnadiff.config import resolve
from dnadiff.diffusion.objectives import Plaid
from dnadiff.errors import InputError
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus, DiT
from dnadiff.ops.native import library
from dnadiff.tasks.plan import Kept, bytes_per_parameter, kept_per_window, plan, traced
from dnadiff.tasks.settings import TrainConfig
from dnadiff.vocab import DNA

PAGE = Path(__file__).parents[2] / "docs" / "several-gpus.md"
BACKBONES = [Caduceus(width=8, n_layers=3, n_states=2), DiT(width=16, n_blocks=2, n_heads=2, conditioning="none")]


def hg38(*words):
    return resolve(TrainConfig, "dna/hg38", words)


def kept(backbone, *words, **config):
    model = DiffusionModel(ModelConfig(model=backbone, **config), DNA)
    return model, kept_per_window(model, hg38(*words))


@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda backbone: backbone.kind)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_counted_without_numbers_is_what_is_kept_with_them(backbone, precision):
    model, counted = kept(backbone, "data.length=64", f"train.precision={precision}")
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        one, two = (traced(model, n_rows, 64) for n_rows in (1, 2))
    assert counted.plain == two.plain - one.plain > 0
    assert counted.recomputed == two.recomputed - one.recomputed < counted.plain


def test_twice_the_layers_and_twice_the_letters_keep_twice_as_much():
    def of(n_layers, length=256):
        backbone = Caduceus(width=8, n_layers=n_layers, n_states=2)
        return kept(backbone, f"data.length={length}", "train.precision=fp32")[1]

    two, four, eight = map(of, (2, 4, 8))
    assert eight.plain - four.plain == 2 * (four.plain - two.plain)
    assert of(4, 512).plain == 2 * four.plain
    block, stream = (four.plain - two.plain) // 2, 2 * 256 * 8 * 4  # both strands, float32
    assert four.recomputed == four.plain - 3 * block + 4 * stream


def test_where_it_depends_on_numbers_it_is_counted_with_them():
    assert kept(BACKBONES[0], "data.length=64", objective=Plaid())[1].plain > 0


def test_shares_of_the_model_are_smaller_by_the_number_of_devices():
    assert bytes_per_parameter(hg38()) == {"weights": 4, "gradients": 4, "moments": 8}
    eight = ["plan.devices=8", "optim.ema=0.999"]
    assert sum(bytes_per_parameter(hg38(*eight)).values()) == 24
    assert sum(bytes_per_parameter(hg38(*eight, "train.strategy=fsdp")).values()) == 2.5


def test_a_batch_that_devices_cannot_share_is_refused():
    with pytest.raises(InputError, match=r"plan\.devices \(3\) cannot share train\.batch_size \(1024\) evenly"):
        plan(hg38("plan.devices=3"), 1, Kept(1, 1))


def test_what_is_reckoned_with_is_no_part_of_a_run():
    assert config.to_yaml(hg38("plan.devices=3", "train.strategy=fsdp")) == config.to_yaml(hg38())


def rows_of_the_page():
    """Rows of the table, by column."""
    table = re.search(r"^\| width(?:.*\n\|)*.*$", PAGE.read_text(), re.MULTILINE).group()
    head, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines())
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.mark.skipif(library.missing() is not None, reason="the table was counted with the C kernels")
def test_the_page_has_what_the_arithmetic_gives():
    counted = {}
    for row in rows_of_the_page():
        speed = row["tokens/s of one"].replace(",", "")
        settings = hg38(
            f"model.width={row['width']}", f"model.n_layers={row['n_layers']}", f"plan.devices={row['GPUs']}",
            f"train.micro_batch={row['micro_batch']}", f"plan.tokens_per_second={speed}",
        )  # fmt: skip
        if settings.model not in counted:
            counted[settings.model] = kept(settings.model)
        model, each = counted[settings.model]
        once, again = (plan(changed, model.n_parameters(), each) for changed in (settings, recomputing(settings)))
        assert f"{model.n_parameters():,}" == row["parameters"]
        assert f"{once['memory_gib_of_a_device']:.1f}" == row["GiB"]
        assert f"{again['memory_gib_of_a_device']:.1f}" == row["recomputed"]
        assert f"{once['hours']:,}" == row["hours"]
        assert f"{once['checkpoint_mib']:,}" == row["checkpoint MiB"]
        assert f"{each.plain / 2**20:,.0f}" in PAGE.read_text()
    assert len(counted) == 3


def recomputing(settings):
    return settings.model_copy(update={"train": settings.train.model_copy(update={"recompute": True})})
