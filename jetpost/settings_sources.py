"""Where settings come from: defaults, then the settings file, then the environment; the later wins.

Everything wrong in all sources is reported together; a key that does not exist is an error, with the likeliest meant one.
"""

from __future__ import annotations

import difflib
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from jetpost.settings_tree import (
    ANY,
    PREFIX,
    Leaf,
    Path,
    StructType,
    branch_of,
    element_of,
    is_secret,
    leaves,
    type_name,
)


class SettingsInvalid(Exception):
    """Some settings cannot be used; the message says which, where they were set and how to mend them."""


class Value(NamedTuple):
    value: Any
    origin: str
    """`default`, `environment`, or the file."""


def from_file(struct: StructType, file: pathlib.Path) -> dict[Path, Value]:
    """Raises `SettingsInvalid` for a file that is not TOML, or has unknown keys or unusable values."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{file}: is not valid TOML: {error}") from error
    problems: list[str] = []
    values: dict[Path, Value] = {}
    for path, raw in _flatten(document, leaves(struct)):
        leaf = _match(leaves(struct), path)
        if leaf is None:
            meant = _closest(".".join(path), [known.key for known in leaves(struct)])
            problems.append(f"{file}: {'.'.join(path)} is not a setting{meant}")
            continue
        _convert(leaf, path, raw, str(file), values, problems)
    if problems:
        raise SettingsInvalid("\n".join(problems))
    return values


def from_environment(struct: StructType, environment: Mapping[str, str], ignored: Sequence[str]) -> dict[Path, Value]:
    """Raises `SettingsInvalid` for variables `JETPOST_…` that are no settings or have unusable values."""
    problems: list[str] = []
    values: dict[Path, Value] = {}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(f"{PREFIX}_") or variable in ignored:
            continue
        found = _match_variable(leaves(struct), variable)
        if found is None:
            meant = _closest(variable, [leaf.variable for leaf in leaves(struct)])
            problems.append(f"environment: {variable} is not a setting{meant}")
            continue
        leaf, path = found
        _convert(leaf, path, text, "environment", values, problems)
    if problems:
        raise SettingsInvalid("\n".join(problems))
    return values


def build(struct: StructType, values: Mapping[Path, Value], path: Path = ()) -> msgspec.Struct:
    """The struct with the given values in place of defaults. Raises `SettingsInvalid` where one without default lacks."""
    arguments: dict[str, Any] = {}
    types = get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        here = (*path, field.name)
        if branch := branch_of(types[field.name]):
            arguments[field.name] = build(branch, values, here)
        elif element := element_of(types[field.name]):
            names = dict.fromkeys(set_path[len(here)] for set_path in values if set_path[: len(here)] == here)
            if names:
                arguments[field.name] = {name: build(element, values, (*here, name)) for name in names}
        elif here in values:
            arguments[field.name] = values[here].value
        elif field.required:
            raise SettingsInvalid(f"{'.'.join(here)} must be set")
    return struct(**arguments)


def _flatten(table: Mapping[str, Any], known: Sequence[Leaf], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every leaf of a TOML document; a table is a leaf where a setting is one (a mapping of plain values)."""
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict) and _match(known, here) is None:
            yield from _flatten(value, known, here)
        else:
            yield here, value


def _match(known: Sequence[Leaf], path: Path) -> Leaf | None:
    for leaf in known:
        if len(leaf.path) == len(path) and all(a in (b, ANY) for a, b in zip(leaf.path, path, strict=True)):
            return leaf
    return None


def _match_variable(known: Sequence[Leaf], variable: str) -> tuple[Leaf, Path] | None:
    for leaf in known:
        pattern = "_".join("([A-Z0-9_]+?)" if part == ANY else re.escape(part.upper()) for part in leaf.path)
        if match := re.fullmatch(f"{PREFIX}_{pattern}", variable):
            names = iter(match.groups())
            return leaf, tuple(next(names).lower().replace("_", "-") if p == ANY else p for p in leaf.path)
    return None


def _convert(leaf: Leaf, path: Path, raw: object, origin: str, values: dict[Path, Value], problems: list[str]) -> None:
    if origin == "environment":
        raw = _from_text(leaf.type, str(raw))
    try:
        converted = msgspec.convert(raw, leaf.type, strict=origin != "environment", dec_hook=_decode)
    except (msgspec.ValidationError, ValueError):
        shown = "the value (not shown)" if is_secret(path) else repr(raw)
        problems.append(f"{origin}: {'.'.join(path)} must be {type_name(leaf.type)}, not {shown}")
    else:
        values[path] = Value(converted, origin)


def _from_text(annotation: object, text: str) -> object:
    """What a variable's text means where text alone is not the value: nothing for an optional, a list, a table."""
    if not text and type(None) in get_args(annotation):
        return None
    if get_origin(annotation) not in (tuple, list, dict):
        return text
    if text.startswith(("[", "{")):
        return msgspec.json.decode(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _decode(wanted: type, value: object) -> object:
    if issubclass(wanted, pathlib.PurePath) and isinstance(value, str):
        return pathlib.Path(value)
    raise ValueError(value)


def _closest(wrong: str, known: Sequence[str]) -> str:
    meant = difflib.get_close_matches(wrong, known, n=1, cutoff=0.6)
    return f"; did you mean {meant[0]}?" if meant else "; `jetpost config --all` lists them"
