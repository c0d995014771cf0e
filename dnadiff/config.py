"""Settings: frozen objects, YAML presets that build on each other, and errors that name every mistake at once.

A preset names what it builds on (`use: [model/caduceus-tiny]`); the file wins over what it uses, `key.path=value` words
win over the file. YAML is data: no interpolation, no object tags, no aliases, no import by string.
"""

from __future__ import annotations

import io
import itertools
import json
import re
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ConfigDict, ValidationError

from dnadiff.errors import InputError, nearest
from dnadiff.mistakes import describe, listed, truths_for_numbers


class Settings(BaseModel):
    """A choice with its knobs: fields are settings, `kind` is its name in YAML. Frozen; unknown keys are refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, coerce_numbers_to_str=True
    )


S = TypeVar("S", bound=Settings)

MAX_DEPTH = 64  # far deeper than any settings, far from where a parser written in C overflows its stack
UNREADABLE = (yaml.YAMLError, OmegaConfBaseException, OSError, ValueError)


def presets_folder() -> Path:
    """Where the shipped presets are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def all_presets() -> list[str]:
    """Names of the shipped presets that train a model, such as `dna/toy`; parts and tables of several are left out."""
    root = presets_folder()
    names = (path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))
    return sorted(name for name in names if not name.startswith(("model/", "tables/", "zeroshot/")))


def shipped() -> dict[str, str]:
    """Every shipped preset, parts and tables too, by name, with the first sentence of the comment it begins with."""
    root = presets_folder()
    files = {path.relative_to(root).with_suffix("").as_posix(): path for path in sorted(root.rglob("*.yaml"))}
    return {name: _first_sentence(path.read_text(encoding="utf-8")) for name, path in files.items()}


def resolve(schema: type[S], preset: str | Sequence[str] | None, overrides: Sequence[str] = (), **flags: Any) -> S:
    """Build settings from a preset, then flags, then `key.path=value` words.

    Args:
        schema: the root settings class.
        preset: name of a shipped preset or path of a YAML file, or several, of which later ones win; None for the
            defaults.
        overrides: words such as `train.max_steps=200`.
        flags: dotted keys (`{"data.ref": path}`), those that are None are left out.

    Raises:
        InputError: unknown preset, unreadable YAML, or settings that do not fit; all mistakes in one message.
    """
    given = [_nested(key.split("."), value) for key, value in flags.items() if value is not None]
    presets = [preset] if isinstance(preset, str) else preset or []
    of_files = reduce(_merge, map(_read_preset, presets), _default_kinds(schema))
    found = _validate(schema, reduce(_merge, [*given, _read_words(overrides)], of_files))
    if isinstance(found, list):
        before = _validate(schema, of_files)
        inherited = [mistake for mistake in found if isinstance(before, list) and mistake in before]
        own = [mistake for mistake in found if mistake not in inherited]
        parts = [(" with ".join(presets), inherited), ("settings", own)]
        raise InputError("; ".join(listed(where, mistakes) for where, mistakes in parts if mistakes))
    return found


def decode(schema: type[S], values: Any, *, where: str) -> S:
    """Validate plain values against a schema, with readable errors; `where` names the source in the message."""
    found = _validate(schema, values)
    if isinstance(found, list):
        raise InputError(listed(where, found))
    return found


def read(schema: type[S], path: Path) -> S:
    """Settings from a resolved YAML file, such as the config.yaml of a run folder."""
    return decode(schema, read_yaml(path), where=str(path))


def to_yaml(settings: Settings) -> str:
    """The whole resolved settings; reading it back gives an equal object.

    Raises:
        InputError: a text with a `${` that is not closed, which could not be read back.
    """
    try:
        text: str = OmegaConf.to_yaml(OmegaConf.create(json.loads(settings.model_dump_json())))
    except OmegaConfBaseException as error:
        raise InputError(f"settings: {_one_line(error)}; rename what has ${{ in its name") from None
    return text


def differences(before: Any, now: Any) -> list[str]:
    """`key was A, is B` for each value that differs between nested mappings, by dotted key."""
    old, new = _flat(before), _flat(now)
    return [
        f"{key} was {old.get(key)}, is {new.get(key)}"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    ]


def _validate(schema: type[S], values: Any) -> S | list[str]:
    """The settings, or what is wrong with the values."""
    try:
        found = schema.model_validate(values)
    except ValidationError as error:
        return list(dict.fromkeys(describe(schema, detail, shipped()) for detail in error.errors()))
    return truths_for_numbers(found, values) or found


def _flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted key."""
    if not isinstance(settings, dict):
        return {prefix: settings}
    parts = (_flat(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in settings.items())
    return {key: value for part in parts for key, value in part.items()}


def _nested(keys: Sequence[str], value: Any) -> Any:
    return {keys[0]: _nested(keys[1:], value)} if keys else value


def _merge(base: Any, over: Any) -> Any:
    """`over` wins key by key; where it names another `kind`, the base's knobs are dropped with its kind."""
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    if over.get("kind", base.get("kind")) != base.get("kind"):
        base = {}
    return {**base, **{key: _merge(base.get(key), value) for key, value in over.items()}}


def _default_kinds(schema: type[BaseModel]) -> dict[str, Any]:
    """The kinds that the defaults choose, so that `schedule.eps=0` needs no `schedule.kind`."""
    defaults = {name: field.get_default(call_default_factory=True) for name, field in schema.model_fields.items()}
    parts = {name: value for name, value in defaults.items() if isinstance(value, Settings)}
    kinds = {name: _default_kinds(type(value)) for name, value in parts.items()}
    return {**kinds, **({"kind": defaults["kind"]} if "kind" in defaults else {})}


def _plain(loaded: DictConfig) -> dict[str, Any]:
    return cast(dict[str, Any], OmegaConf.to_container(loaded, resolve=False))


def _read_preset(name: str, seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """A preset over what it uses; `seen` are the files that use it, outermost first."""
    path = find_preset(name, beside=seen[-1].parent if seen else Path())
    if path in seen:
        raise InputError(f"{path}: presets use each other in a circle: {' -> '.join(map(str, [*seen, path]))}")
    own = read_yaml(path)
    uses = own.pop("use", [])
    bases = [uses] if isinstance(uses, str) else uses
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise InputError(f"{path}: use: must be a list of presets such as [model/name], found {uses!r}")
    merged: dict[str, Any] = {}
    for layer in [*(_read_preset(base, (*seen, path)) for base in bases), own]:
        merged = _merge(merged, layer)
    return merged


def find_preset(name: str, *, beside: Path = Path()) -> Path:
    """The file of a preset: shipped, or a path, which inside a file is relative to that file's folder.

    Raises:
        InputError: there is none.
    """
    own = presets_folder() / f"{name}.yaml"
    if own.is_file():
        return own.resolve()
    path = (beside / Path(name).expanduser()).resolve()
    if path.suffix in {".yaml", ".yml"}:
        if path.is_file():
            return path
        raise InputError(f"{path}: no such file; name a YAML file or one of the presets {', '.join(all_presets())}")
    if re.search(r"\.(fa|fasta|fna)(\.b?gz)?$", name):
        raise InputError(f"{name}: no such preset; a genome is given with --ref {name}")
    raise InputError(f"{name}: no such preset{nearest(name, shipped())}; there are {', '.join(all_presets())}")


def _first_sentence(text: str) -> str:
    """Of the comment that a file begins with."""
    comment = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    return re.split(r"\.(?= [A-Z]|$)", " ".join(line.lstrip("# ") for line in comment))[0]


def read_yaml(path: Path) -> dict[str, Any]:
    """Plain values of a YAML file: nothing in it is run, followed or multiplied.

    Raises:
        InputError: it cannot be read, or holds no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
        _check_size(text)
        loaded = OmegaConf.load(io.StringIO(text))
    except UNREADABLE as error:
        raise InputError(f"{path}: not a readable YAML file: {_one_line(error)}") from None
    if not isinstance(loaded, DictConfig):
        raise InputError(f"{path}: must hold settings (key: value), found {type(loaded).__name__}")
    return _plain(loaded)


def _read_words(words: Sequence[str]) -> dict[str, Any]:
    bad = [word for word in words if "=" not in word or word.startswith("=")]
    if bad:
        raise InputError(f"{bad[0]!r} is not a setting; write key.path=value")
    try:
        for word in words:
            _check_size(word.partition("=")[2])
        return _plain(OmegaConf.from_dotlist(list(words)))
    except UNREADABLE as error:
        raise InputError(f"{' '.join(words)}: {_one_line(error)}; write key.path=value") from None


def _check_size(text: str) -> None:
    """Refuse, before anything is built, YAML whose few bytes stand for very much.

    Raises:
        ValueError: aliases, of which a few lines make billions of values, or nesting deeper than MAX_DEPTH.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("aliases (*name) are not read; write the values out")
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
