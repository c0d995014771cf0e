"""The settings themselves are toys here; the shipped presets are tested with the tasks that run them."""

import resource
import time
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from dnadiff import config
from dnadiff.config import Settings, decode, read, resolve, to_yaml
from dnadiff.errors import InputError


class Small(Settings):
    kind: Literal["small"] = "small"
    width: int = Field(8, gt=0)
    held_out: tuple[str, ...] = ()


class Large(Settings):
    kind: Literal["large"] = "large"
    width: int = 64
    n_blocks: int = 12
    held_out: float = Field(0.05, lt=1)


class Train(Settings):
    max_steps: int = 10
    """Number of updates."""
    shuffle: bool = True
    betas: tuple[float, ...] = (0.9, 0.95)

    @model_validator(mode="after")
    def _ordered(self) -> "Train":
        if list(self.betas) != sorted(self.betas):
            raise ValueError("betas must rise")
        return self


class Root(Settings):
    model: Small | Large = Field(Small(), discriminator="kind")
    train: Train = Train()
    stages: tuple[Train, ...] = ()
    name: str = "run"
    ref: Path | None = None


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that plays the shipped presets."""
    folder = tmp_path / "configs"
    (folder / "model").mkdir(parents=True)
    (folder / "dna").mkdir()
    (folder / "model/large.yaml").write_text(
        "# As in Doe et al. 2020: it is\n# large. Slow.\nmodel: {kind: large, n_blocks: 3}\n"
    )
    (folder / "dna/toy.yaml").write_text("use: [model/large]\nmodel: {n_blocks: 4}\ntrain: {max_steps: 20}\n")
    monkeypatch.setattr(config, "presets_folder", lambda: folder)
    return folder


def refusal(*words: str, preset: str | None = None) -> str:
    with pytest.raises(InputError) as caught:
        resolve(Root, preset, words)
    message = str(caught.value)
    assert "\n" not in message
    return message


def refused_file(path: Path, text: str) -> str:
    path.write_text(text)
    return refusal(preset=str(path))


def test_words_win_over_flags_over_the_file_over_what_it_uses(presets: Path) -> None:
    settings = resolve(
        Root, "dna/toy", ["train.max_steps=40"], **{"train.max_steps": 30, "ref": Path("a${b"), "name": None}
    )
    assert settings == Root(model=Large(n_blocks=4), train=Train(max_steps=40), ref=Path("a${b"))


def test_runs_are_listed_and_parts_are_not(presets: Path) -> None:
    assert config.all_presets() == ["dna/toy"]


def test_what_is_shipped_says_what_it_is(presets: Path) -> None:
    assert config.shipped() == {"dna/toy": "", "model/large": "As in Doe et al. 2020: it is large"}


def test_of_several_presets_the_later_one_wins(presets: Path) -> None:
    settings = resolve(Root, ["dna/toy", "model/large"])
    assert settings == Root(model=Large(n_blocks=3), train=Train(max_steps=20))


def test_another_kind_drops_the_knobs_of_the_kind_before(presets: Path) -> None:
    assert resolve(Root, "dna/toy", ["model.kind=small"]).model == Small()
    assert resolve(Root, "dna/toy", ["model.kind=large"]).model == Large(n_blocks=4)


def test_the_default_kind_need_not_be_named() -> None:
    assert resolve(Root, None, ["model.width=16"]).model == Small(width=16)


def test_numbers_may_be_written_with_an_exponent() -> None:
    assert resolve(Root, None, ["train.betas=[1e-1,3e-1]"]).train.betas == (0.1, 0.3)


@pytest.mark.case(54)
@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("train.max_stps=3", "settings: train.max_stps: unknown setting (did you mean 'max_steps'?)"),
        ("model.zzz=3", "settings: model.zzz: unknown setting; known here: held_out, kind, width"),
        ("max_steps=3", "settings: max_steps: unknown setting; there is train.max_steps"),
        ("model.number_of_updates=3", "model.number_of_updates: unknown setting; there is train.max_steps"),
        (
            "model.n_blocks=3",
            "model.n_blocks: kind 'small' has no such setting (it has held_out, width); set model.kind=large for it",
        ),
        (
            "model.held_out=0.1",
            "model.held_out: input should be a list, such as [1,2] (found 0.1); kind large takes it: set "
            "model.kind=large as",
        ),
        ("stages=[{max_stps: 3}]", "stages.0.max_stps: unknown setting (did you mean 'max_steps'?)"),
        ("train.max_steps=true", "train.max_steps: input should be a number (found True)"),
        ("train.betas=[0.5,true]", "train.betas.1: input should be a number (found True)"),
        ("train.max_steps=many", "train.max_steps: input should be a valid integer"),
        ("train.betas=[0.9,x]", "train.betas.1: input should be a valid number"),
        ("train.betas=[0.9,0.1]", "settings: train: betas must rise"),
        ("model.width=0", "settings: model.width: input should be greater than 0 (found 0)"),
        ("model.width=.inf", "model.width: input should be a finite number"),
        ("model.kind=smal", "settings: model.kind: 'smal' is not one of small, large (did you mean 'small'?)"),
        ("train=5", "settings: train: holds settings of its own, write train.name=value (found 5)"),
        ("model=large", "model: holds settings of its own, write model.kind=large (found 'large')"),
        ("train", "'train' is not a setting; write key.path=value"),
        ("=3", "'=3' is not a setting; write key.path=value"),
        ("name=[[", "name=[[: "),
        ("name=${", "name=${: "),
        ("name=" + "[" * 99, "nested deeper than 64 levels; write key.path=value"),
        ("name=!!python/object/apply:os.system [ls]", "could not determine a constructor"),
    ],
)
def test_a_word_that_does_not_fit_is_refused(word: str, message: str) -> None:
    assert message in refusal(word)


def test_every_mistake_is_named_at_once() -> None:
    message = refusal("nmae=x", "model.zzz=1", "train.max_steps=q")
    assert all(part in message for part in ("(did you mean 'name'?)", "model.zzz", "train.max_steps"))


def test_of_very_many_mistakes_the_first_are_named() -> None:
    message = refusal(*(f"zzz{number}=1" for number in range(10)))
    assert message.count("unknown setting") == 8
    assert message.endswith("; and 2 more")


def test_a_truth_value_is_taken_where_one_is_asked_for() -> None:
    assert resolve(Root, None, ["train.shuffle=false"]).train.shuffle is False


def test_mistakes_of_words_are_not_blamed_on_the_file(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text("train: {max_steps: 3}\n")
    assert refusal("nmae=x", preset=str(tmp_path / "good.yaml")).startswith("settings: nmae: ")
    (tmp_path / "bad.yaml").write_text("train: {max_stps: 3}\n")
    message = refusal("nmae=x", preset=str(tmp_path / "bad.yaml"))
    assert message.startswith(f"{tmp_path}/bad.yaml: train.max_stps: unknown setting")
    assert "; settings: nmae: unknown setting" in message


def test_the_name_of_a_part_in_place_of_its_settings_is_told_apart(presets: Path) -> None:
    (presets / "model/huge.yaml").write_text("model: {kind: large, n_blocks: 99}\n")
    assert "write model.name=value, or name the preset model/huge (found 'huge')" in refusal("model=huge")


def test_a_missing_kind_or_value_is_named() -> None:
    with pytest.raises(InputError, match=r"x: model\.kind: is missing; say which kind"):
        decode(Root, {"model": {"width": 3}}, where="x")


@pytest.mark.case(54)
@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${train.max_steps}", "$HOME"])
def test_interpolation_stays_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(f"name: {text}\n")
    assert resolve(Root, str(tmp_path / "a.yaml")).name == text
    assert resolve(Root, None, [f"name={text}"]).name == text


@pytest.mark.case(54)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {max_stps: 3}", "train.max_stps: unknown setting (did you mean 'max_steps'?)"),
        ("name: !!python/object/apply:os.system [ls]", "not a readable YAML file: could not determine a constructor"),
        ("!!python/name:os.system", "not a readable YAML file: could not determine a constructor"),
        ("name: a\nname: b", "not a readable YAML file: while constructing a mapping"),
        ("a: &x [1]\nb: *x", "not a readable YAML file: aliases (*name) are not read; write the values out"),
        ("name: " + "[" * 10_000, "not a readable YAML file: nested deeper than 64 levels"),
        ("- 1", "must hold settings (key: value), found ListConfig"),
        ("name: \0", "not a readable YAML file: "),
        ("use: 5", "use: must be a list of presets such as [model/name], found 5"),
        ("use: [5]", "use: must be a list of presets such as [model/name], found [5]"),
        ("use: a.yaml", "presets use each other in a circle: "),
        ("use: [model/lrge]", "model/lrge: no such preset"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(presets: Path, tmp_path: Path, text: str, message: str) -> None:
    assert message in refused_file(tmp_path / "a.yaml", text)


LAUGHS = "\n".join(["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))])


@pytest.mark.case(54)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "aliases (*name) are not read; write the values out"),
        ("name: {<<: {a: 1}}", "name: "),
        ("name: " + "[" * 1_000_000, "nested deeper than 64 levels"),
        ("name: " + "{a: " * 1_000_000, "nested deeper than 64 levels"),
        ("\n".join(" " * i + "a:" for i in range(3000)), "nested deeper than 64 levels"),
        ("- " * 1_000_000, "nested deeper than 64 levels"),
        ("class_path: os.system\ninit_args: {command: ls}", "class_path: unknown setting"),
        ("_target_: os.system", "_target_: unknown setting"),
        ("model: {kind: os.system}", "model.kind: 'os.system' is not one of small, large"),
        ("model: {_target_: subprocess.run, kind: small}", "model._target_: unknown setting"),
        ("model: !!python/object/new:subprocess.Popen [[ls]]", "could not determine a constructor"),
        ("name: !!python/module:os", "could not determine a constructor"),
    ],
)
def test_hostile_settings_run_nothing_and_are_refused_at_once(tmp_path: Path, text: str, message: str) -> None:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    assert message in refused_file(tmp_path / "a.yaml", text)
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not a readable YAML file" in refusal(preset=str(tmp_path / "a.yaml"))


def test_a_circle_over_several_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b.yaml").write_text("use: ../a.yaml\n")
    message = refused_file(tmp_path / "a.yaml", "use: sub/b.yaml\n")
    assert message.endswith(f"{tmp_path}/a.yaml -> {tmp_path}/sub/b.yaml -> {tmp_path}/a.yaml")


def test_a_file_uses_its_neighbours_from_any_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base.yaml").write_text("name: base\n")
    (tmp_path / "mine.yaml").write_text("use: base.yaml\ntrain: {max_steps: 3}\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resolve(Root, "../mine.yaml") == Root(name="base", train=Train(max_steps=3))


def test_an_unknown_preset_names_the_nearest(presets: Path) -> None:
    assert refusal(preset="dna/toi") == "dna/toi: no such preset (did you mean 'dna/toy'?); there are dna/toy"
    assert "nowhere.yaml: no such file; name a YAML file or one of the presets dna/toy" in refusal(
        preset="nowhere.yaml"
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(lambda text: "${" not in text)


@given(texts, st.integers(1), st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4))
def test_settings_come_back_equal_from_yaml(
    tmp_path_factory: pytest.TempPathFactory, name: str, width: int, betas: list[float]
) -> None:
    settings = Root(model=Small(width=width), train=Train(betas=tuple(sorted(betas))), name=name, ref=Path("x y"))
    path = tmp_path_factory.getbasetemp() / "round_trip.yaml"
    path.write_text(to_yaml(settings), encoding="utf-8")
    assert read(Root, path) == settings


def test_a_text_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(InputError, match=r"settings: .*full_key: name.*; rename what has \$\{ in its name"):
        to_yaml(Root(name="a${b"))


def test_a_resolved_file_is_read_back(tmp_path: Path) -> None:
    settings = resolve(Root, None, ["model.kind=large", "name=1e5x"])
    (tmp_path / "config.yaml").write_text(to_yaml(settings))
    assert read(Root, tmp_path / "config.yaml") == settings


def test_a_resolved_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"config\.yaml: not a readable YAML file: .*No such file"):
        read(Root, tmp_path / "config.yaml")


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Root().name = "other"  # type: ignore[misc]
