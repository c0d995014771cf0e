"""Files with some bytes changed: what each reader is given, every shipped preset, published weights, our own."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from published_models import golden, write_folder
from small_rows import patient

from dnadiff import checkpoint, config
from dnadiff.config import Settings
from dnadiff.errors import InputError
from dnadiff.hub import importing
from dnadiff.model import DiffusionModel, ModelConfig
from dnadiff.models import Caduceus
from dnadiff.tasks.classify.settings import ClassifyConfig
from dnadiff.tasks.reproduce import Table
from dnadiff.tasks.settings import TrainConfig
from dnadiff.tasks.zeroshot import ZeroShot
from dnadiff.vocab import DNA
from tests.fuzz.parsers import PARSERS, done, holds
from tests.fuzz.seeds import SEEDS, WORDS

PRESETS = {
    path.relative_to(config.presets_folder()).as_posix(): path for path in config.presets_folder().rglob("*.yaml")
}
SCHEMAS: dict[str, type[Settings]] = {"classify": ClassifyConfig, "tables": Table, "zeroshot": ZeroShot}
CHECKPOINT = Path(__file__).parents[1] / "golden" / "mdlm_ckpt_a.ckpt"
Change = tuple[str, float, float, bytes]  # what, from and to which share of the file, and what is put there
quickly = settings(patient(15), suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def changes(draw: st.DrawFn) -> list[Change]:
    kinds = st.sampled_from(["cut", "flip", "drop", "double", "insert", "exchange"])
    shares = st.floats(0, 1)
    inserted = st.binary(max_size=4) | st.sampled_from([word.encode() for word in WORDS])
    return draw(st.lists(st.tuples(kinds, shares, shares, inserted), min_size=1, max_size=4))


def changed(content: bytes, how: list[Change]) -> bytes:
    for kind, begin, end, inserted in how:
        at = min(int(begin * len(content)), len(content) - 1)
        first, last = sorted((int(begin * len(content)), int(end * len(content))))
        middle = content[first:last]
        match kind:
            case "cut":
                content = content[:first]
            case "flip" if content:
                content = content[:at] + bytes([content[at] ^ 1 << int(7 * end)]) + content[at + 1 :]
            case "drop":
                content = content[:first] + content[last:]
            case "double":
                content = content[:last] + middle[:1000] + content[last:]
            case "insert":
                content = content[:first] + inserted + content[first:]
            case "exchange":
                content = content[last:] + middle + content[:first]
    return content


def test_changes_change_what_they_say() -> None:
    content = bytes(range(100))
    assert changed(content, [("flip", 0.5, 0, b"")]) == content[:50] + bytes([51]) + content[51:]
    assert changed(content, [("drop", 0.9, 0.1, b"")]) == content[:10] + content[90:]
    assert changed(content, [("exchange", 0.1, 0.9, b"")]) == content[90:] + content[10:90] + content[:10]


@pytest.mark.parametrize("name", PARSERS)
def test_the_files_that_fuzzing_starts_from_are_read(name: str, tmp_path: Path) -> None:
    assert all(holds(name, content, tmp_path) for content in SEEDS[name])


@pytest.mark.case(21, 24, 25, 35, 37, 39, 41, 54, 56)
@pytest.mark.parametrize("name", PARSERS)
@settings(patient(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(how=changes(), data=st.data())
def test_a_changed_file_is_read_right_or_refused(
    name: str, tmp_path: Path, how: list[Change], data: st.DataObject
) -> None:
    holds(name, changed(data.draw(st.sampled_from(SEEDS[name])), how), tmp_path)


@pytest.mark.case(54)
@settings(patient(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(list(PRESETS)), how=changes())
def test_a_changed_preset_is_read_or_refused(tmp_path: Path, name: str, how: list[Change]) -> None:
    schema = SCHEMAS.get(name.partition("/")[0], TrainConfig)
    (tmp_path / "x.yaml").write_bytes(changed(PRESETS[name].read_bytes(), how))

    def read() -> None:
        found = config.resolve(schema, str(tmp_path / "x.yaml"))
        (tmp_path / "again.yaml").write_text(config.to_yaml(found), encoding="utf-8")
        assert config.read(schema, tmp_path / "again.yaml") == found

    done(read)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DNADIFF_CACHE", str(tmp_path / "cache"))


@pytest.mark.case(50, 51, 56)
@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("file", ["config.json", "model.safetensors", "pytorch_model.bin"])
@quickly
@given(how=changes())
def test_changed_published_weights_are_read_or_refused(file: str, tmp_path: Path, how: list[Change]) -> None:
    """They carry no checksum: a value may differ, a name or shape may not."""
    found = golden("caduceus_ps_add_tie_fused")
    folder = write_folder(tmp_path / "model", found.about["config"], found.weights, form=Path(file).suffix[1:])
    (folder / file).write_bytes(changed((folder / file).read_bytes(), how))
    done(lambda: checkpoint.load(importing.imported(folder)))


@pytest.mark.case(50, 56)
@pytest.mark.usefixtures("own_cache")
@quickly
@given(how=changes())
def test_a_changed_training_checkpoint_is_read_or_refused(tmp_path: Path, how: list[Change]) -> None:
    (tmp_path / "x.ckpt").write_bytes(changed(CHECKPOINT.read_bytes(), how))
    done(lambda: importing.imported(tmp_path / "x.ckpt"))


@pytest.mark.case(8)
@quickly
@given(how=changes(), data=st.data())
def test_a_changed_model_of_ours_is_never_loaded(tmp_path: Path, how: list[Change], data: st.DataObject) -> None:
    folder = tmp_path / "model"
    if not folder.exists():
        model = DiffusionModel(ModelConfig(model=Caduceus(width=4, n_layers=1, n_states=2)), DNA)
        checkpoint.save(folder, model)
    file = folder / data.draw(st.sampled_from(["config.yaml", "vocab.json", "weights.safetensors"]))
    whole = file.read_bytes()
    file.write_bytes(changed(whole, how))
    try:
        if file.read_bytes() != whole:
            with pytest.raises(InputError, match="damaged or missing"):
                checkpoint.load(folder)
    finally:
        file.write_bytes(whole)
