"""Where settings come from: defaults, then the settings file, then the environment; the later wins.

Everything wrong in a source is reported together; a key that does not exist is an error, with the likeliest meant one.
"""

from __future__ import annotations

import difflib
import math
import pathlib
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple, get_args, get_origin, get_type_hints

import msgspec

from events.secrets import without_password
from jetpost.errors import SettingsInvalid
from jetpost.settings_tree import (
    ANY,
    DOT,
    PREFIX,
    Leaf,
    NameRule,
    Path,
    StructType,
    branch_of,
    element_of,
    leaves,
    type_name,
    variable_of,
)

ENVIRONMENT: Final = "environment"
_CLOSE: Final = 0.6


class Value(NamedTuple):
    value: Any
    origin: str
    """`environment`, or the file."""


def from_file(struct: StructType, file: pathlib.Path) -> dict[Path, Value]:
    """Raises `SettingsInvalid` for a file that is not TOML, or has unknown keys or unusable values."""
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"{file}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"{file}: is not valid TOML: {error}") from error
    known = leaves(struct)
    found = _Found(str(file))
    for path, raw in _flatten(document, known):
        leaf = _match(known, path)
        if leaf is not None:
            found.take(leaf, path, raw)
        elif raw == {} and _is_table(known, path):
            found.take_table(known, path)
        else:
            found.problems.append(f"{file}: {'.'.join(path)} is not a setting{_meant_key(known, path)}")
    return found.values_or_raise()


def from_environment(struct: StructType, environment: Mapping[str, str], ignored: Sequence[str]) -> dict[Path, Value]:
    """Raises `SettingsInvalid` for variables `JETPOST_…` that are no settings or have unusable values."""
    known = leaves(struct)
    found = _Found(ENVIRONMENT)
    for variable, text in sorted(environment.items()):
        if not variable.startswith(f"{PREFIX}_") or variable in ignored:
            continue
        match = _match_variable(known, variable)
        if match is None:
            found.problems.append(f"{ENVIRONMENT}: {variable} is not a setting{_meant_variable(known, variable)}")
        else:
            found.take(*match, text)
    if found.problems and "KUBERNETES_SERVICE_HOST" in environment:
        found.problems.append(
            "(Kubernetes adds variables for its services: set `enableServiceLinks: false` in the pod)"
        )
    return found.values_or_raise()


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
    try:
        return struct(**arguments)
    except ValueError as error:  # of its own check
        raise SettingsInvalid(f"{'.'.join(path)}: {error}") from error


class _Found:
    """What one source says, and what is wrong with it."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.values: dict[Path, Value] = {}
        self.problems: list[str] = []

    def take(self, leaf: Leaf, path: Path, raw: object) -> None:
        """Keep a value, or say why not."""
        if self._named_well(leaf, path):
            try:
                value = _converted(leaf, raw, is_text=self.origin == ENVIRONMENT)
            except ValueError as error:
                shown = "the value (not shown)" if leaf.secret else without_password(repr(raw))
                self.problems.append(f"{self.origin}: {'.'.join(path)} must be {error}, not {shown}")
            else:
                self.values[path] = Value(value, self.origin)

    def take_table(self, known: Sequence[Leaf], path: Path) -> None:
        """An empty table: a name with all settings at their default, such as `[sender.pools.spare]`, or nothing."""
        leaf = next(leaf for leaf in known if _begins(leaf, path))
        if leaf.path[len(path) - 1] == ANY and self._named_well(leaf, path):
            self.values[path] = Value({}, self.origin)

    def _named_well(self, leaf: Leaf, path: Path) -> bool:
        bad = list(_bad_names(leaf, path))
        self.problems += [
            f"{self.origin}: {'.'.join(path)}: the name {name!r} must be {rule.said}{self._hint_at_dots(rule)}"
            for name, rule in bad
        ]
        return not bad

    def _hint_at_dots(self, rule: NameRule) -> str:
        return f"; in a variable a dot is {DOT}" if rule.dotted and self.origin == ENVIRONMENT else ""

    def values_or_raise(self) -> dict[Path, Value]:
        if self.problems:
            raise SettingsInvalid("\n".join(dict.fromkeys(self.problems)))
        return self.values


def _flatten(table: Mapping[str, Any], known: Sequence[Leaf], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every leaf of a TOML document; a table is a leaf where a setting is one (a mapping of plain values), or where empty."""
    for key, value in table.items():
        here = (*path, key)
        if isinstance(value, dict) and value and _match(known, here) is None:
            yield from _flatten(value, known, here)
        else:
            yield here, value


def _match(known: Sequence[Leaf], path: Path) -> Leaf | None:
    return next((leaf for leaf in known if len(leaf.path) == len(path) and _begins(leaf, path)), None)


def _is_table(known: Sequence[Leaf], path: Path) -> bool:
    return any(len(leaf.path) > len(path) and _begins(leaf, path) for leaf in known)


def _begins(leaf: Leaf, path: Path) -> bool:
    return all(wanted in (part, ANY) for wanted, part in zip(leaf.path, path, strict=False))


def _match_variable(known: Sequence[Leaf], variable: str) -> tuple[Leaf, Path] | None:
    """The one whose names are good, if there is one: `…_MAIN_LANES_GMAIL_RATE` may be of a pool `main` or `main-lanes-gmail`."""
    matches = [match for leaf in known if (match := _match_leaf(leaf, variable))]
    good = [(leaf, path) for leaf, path in matches if not list(_bad_names(leaf, path))]
    return next(iter(good or matches), None)


def _match_leaf(leaf: Leaf, variable: str) -> tuple[Leaf, Path] | None:
    pattern = "_".join("([A-Z0-9_]+)" if part == ANY else re.escape(part.upper()) for part in leaf.path)
    match = re.fullmatch(f"{PREFIX}_{pattern}", variable)
    if match is None:
        return None
    names = (rule.name_of(part) for rule, part in zip(leaf.names, match.groups(), strict=True))
    return leaf, tuple(next(names) if part == ANY else part for part in leaf.path)


def _bad_names(leaf: Leaf, path: Path) -> Iterator[tuple[str, NameRule]]:
    """The names in a path (or its beginning) that are not as they must be."""
    names = [part for wanted, part in zip(leaf.path, path, strict=False) if wanted == ANY]
    return ((name, rule) for name, rule in zip(names, leaf.names, strict=False) if not rule.pattern.fullmatch(name))


def _converted(leaf: Leaf, raw: object, *, is_text: bool) -> object:
    """The value in the setting's type. Raises `ValueError`, which says what it must be."""
    try:
        value = _from_text(leaf.type, str(raw)) if is_text else raw
        converted = msgspec.convert(value, leaf.type, strict=not is_text, dec_hook=_decode)
    except ValueError as error:
        bound = f" ({error})" if get_origin(leaf.type) is Annotated else ""
        raise ValueError(type_name(leaf.type) + bound) from error
    if isinstance(converted, int | float) and not 0 <= converted < math.inf:
        raise ValueError("0 or more")  # no setting means anything below
    if leaf.path[-1] == "port" and converted > 65_535:
        raise ValueError("a port, up to 65535")
    return converted


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
        return pathlib.Path(value).expanduser()
    raise ValueError(value)


def _meant_key(known: Sequence[Leaf], path: Path) -> str:
    """A hint: the key like the wrong one, or the same key in another table."""
    named = {_filled(leaf, path): leaf for leaf in known}
    close = difflib.get_close_matches(".".join(path), named, n=1, cutoff=_CLOSE)
    elsewhere = [key for key, leaf in named.items() if leaf.path[-1] == path[-1]]
    return _hint(close or elsewhere[:1])


def _filled(leaf: Leaf, path: Path) -> str:
    """The leaf's key, with the names of a path that has some in their place."""
    names = dict(enumerate(path)) if len(path) == len(leaf.path) else {}
    return ".".join(names.get(at, "NAME") if part == ANY else part for at, part in enumerate(leaf.path))


def _meant_variable(known: Sequence[Leaf], variable: str) -> str:
    candidates = [variable_of(leaf.path).replace(ANY, "NAME") for leaf in known]
    return _hint(difflib.get_close_matches(variable, candidates, n=1, cutoff=_CLOSE))


def _hint(meant: Sequence[str]) -> str:
    return f"; did you mean {meant[0]}?" if meant else "; `jetpost config --explain` lists them"
