"""What is wrong with settings, in words: where, what was found, and how to mend it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from dnadiff.errors import nearest

MOST_LISTED = 8  # mistakes in one message
MOST_HINTS = 3
SHORTEST_WORD = 4  # that says something where it is found in a description


def listed(where: str, mistakes: Sequence[str]) -> str:
    """All of them in a line, up to where a line is no longer read."""
    more = f"; and {len(mistakes) - MOST_LISTED} more" if len(mistakes) > MOST_LISTED else ""
    return f"{where}: {'; '.join(mistakes[:MOST_LISTED])}{more}"


def describe(schema: type[BaseModel], detail: Any, presets: Collection[str]) -> str:
    """One mistake that pydantic found: where, what, and the nearest right name.

    Args:
        schema: the root that was validated.
        detail: of `ValidationError.errors()`.
        presets: names that can be given in place of settings.
    """
    location, given = [str(part) for part in detail["loc"]], detail["input"]
    dotted = ".".join(_without_kinds(schema, location)) or "settings"
    if not location and detail["type"] == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        return f"{dotted}: {_unknown(schema, location, dotted, given)}"
    if detail["type"] == "union_tag_invalid":
        tag, expected = str(detail["ctx"]["tag"]), detail["ctx"]["expected_tags"].replace("'", "").split(", ")
        return f"{dotted}.kind: {tag!r} is not one of {', '.join(expected)}{nearest(tag, expected)}"
    if detail["type"] == "union_tag_not_found":
        return f"{dotted}.kind: is missing; say which kind"
    if detail["type"] in {"model_type", "model_attributes_type"}:
        kinds = [_kind(model) for model in _descend(schema, location)]
        mend = f"kind={given}" if given in kinds else "name=value"
        part = f", or name the preset {dotted}/{given}" if f"{dotted}/{given}" in presets else ""
        return f"{dotted}: holds settings of its own, write {dotted}.{mend}{part} (found {given!r})"
    message = detail["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list, such as [1,2]")
    found = "" if detail["type"] in {"missing", "value_error"} else f" (found {given!r})"
    own = {_kind(model) for model in _descend(schema, location[:-1])}
    other = [kind for kind in _kinds_that_take(schema, location, given) if kind not in own]
    mend = f"; kind {other[0]} takes it: set {dotted.rpartition('.')[0]}.kind={other[0]} as well" if other else ""
    return f"{dotted}: {message[0].lower()}{message[1:]}{found}{mend}"


def truths_for_numbers(found: Any, given: Any, where: str = "") -> list[str]:
    """The values that were true or false and became a number: pydantic takes True for 1, a person does not.

    Args:
        found: settings, or a part of them.
        given: plain values that they were made from.
        where: dotted key of the part.
    """
    if isinstance(given, bool) and not isinstance(found, bool):
        return [f"{where}: input should be a number (found {given})"]
    if isinstance(given, dict) and isinstance(found, BaseModel):
        known = type(found).model_fields
        parts = {name: (getattr(found, name), value) for name, value in given.items() if name in known}
    elif isinstance(given, list) and isinstance(found, tuple):
        parts = {str(at): pair for at, pair in enumerate(zip(found, given, strict=False))}
    else:
        return []
    dotted = {f"{where}.{name}".lstrip("."): pair for name, pair in parts.items()}
    return [each for name, pair in dotted.items() for each in truths_for_numbers(*pair, name)]


def _unknown(schema: type[BaseModel], location: Sequence[str], dotted: str, given: Any) -> str:
    """What to write in place of a setting that is not there."""
    key, here = location[-1], _descend(schema, location[:-1])
    known = sorted({name for model in here for name in model.model_fields})
    part, kinds = dotted.rpartition(".")[0], _kinds_that_have(schema, location)
    if kinds:
        own = [name for name in known if name != "kind"]
        has = f" (it has {', '.join(own)})" if own else ""
        fit = " or ".join(_kinds_that_take(schema, location, given) or kinds)
        return f"kind {_kind(here[0])!r} has no such setting{has}; set {part}.kind={fit} for it"
    elsewhere = [path for path, _ in _walk(schema) if path.rpartition(".")[2] == key]
    hint = nearest(key, known)
    if not (elsewhere or hint) and len(key) >= SHORTEST_WORD:
        words = key.replace("_", " ").lower()
        elsewhere = [path for path, field in _walk(schema) if words in (field.description or "").lower()]
    if elsewhere:
        hint += f"; there is {', '.join(list(dict.fromkeys(elsewhere))[:MOST_HINTS])}"
    return f"unknown setting{hint or '; known here: ' + ', '.join(known)}"


def _kinds_that_have(schema: type[BaseModel], location: Sequence[str]) -> list[str]:
    """The kinds of a union, inside one of which a location lies, that have its last part as a setting."""
    members = _descend(schema, location[:-2]) if len(location) > 1 else []
    return [str(_kind(model)) for model in members if _kind(model) and location[-1] in model.model_fields]


def _kinds_that_take(schema: type[BaseModel], location: Sequence[str], given: Any) -> list[str]:
    """Those of them for which a value is right."""
    members = {_kind(model): model for model in _descend(schema, location[:-2])}
    takes = []
    for kind in _kinds_that_have(schema, location):
        with suppress(ValidationError):
            members[kind].model_validate({location[-1]: given})
            takes.append(kind)
    return takes


def _walk(schema: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted key, of all kinds."""
    for name, field in schema.model_fields.items():
        yield f"{prefix}{name}", field
        for model in _models_in(field.annotation):
            yield from _walk(model, f"{prefix}{name}.")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Settings classes inside an annotation: a class itself, or the members of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _descend(schema: type[BaseModel], location: Sequence[str]) -> list[type[BaseModel]]:
    """The settings classes that a location can mean; a union's `kind` in the location picks its member."""
    models = [schema]
    for part in (each for each in location if not each.isdigit()):  # positions in a list
        fields = [model.model_fields[part].annotation for model in models if part in model.model_fields]
        tagged = [model for model in models if _kind(model) == part]
        models = tagged if tagged and not fields else [m for annotation in fields for m in _models_in(annotation)]
    return models


def _without_kinds(schema: type[BaseModel], location: Sequence[str]) -> list[str]:
    """A location as the user wrote it: without the names of union members that pydantic puts in."""
    kept = []
    for position, part in enumerate(location):
        models = _descend(schema, location[:position])
        is_field = any(part in model.model_fields for model in models)
        if is_field or position == len(location) - 1 or not any(_kind(model) == part for model in models):
            kept.append(part)
    return kept


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return None if field is None else field.default
