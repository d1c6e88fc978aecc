"""Settings as a tree of msgspec structs: every leaf has a path, a type, a default and an explanation.

A leaf `nats.url` is the key `url` in the table `[nats]` of the settings file and the variable `JETPOST_NATS_URL` in the
environment. A mapping of structs, such as the pools, has leaves for any name: `sender.pools.*.host`. Such names keep to
a rule, `NAMES` or that of the mapping's own keys, so that a name and its form in the environment tell each other: `my-pool` and
`MY_POOL`, `mail.my-shop.example` and `MAIL___MY_SHOP___EXAMPLE`.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from types import UnionType
from typing import Annotated, Any, Final, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin, get_type_hints

import msgspec

from events.secrets import is_secret

PREFIX: Final = "JETPOST"
ANY: Final = "*"
NAMES: Final = re.compile(r"[a-z0-9-]{1,32}")
"""Names of pools: tokens of NATS subjects, and the same in every source of settings."""
DOT: Final = "___"
"""In a variable. A name with dots in it has no three hyphens in a row, nor a hyphen beside a dot."""

Path: TypeAlias = tuple[str, ...]
StructType: TypeAlias = type[msgspec.Struct]


class NameRule(NamedTuple):
    """What the names in a mapping must be."""

    pattern: re.Pattern[str]
    said: str
    """The same for people."""
    dotted: bool = False
    """Whether they may have dots in them."""

    def name_of(self, variable_part: str) -> str:
        """The name that stands in a variable as this."""
        dotted = variable_part.lower().replace(DOT, ".") if self.dotted else variable_part.lower()
        return dotted.replace("_", "-")


_USUAL_NAMES: Final = NameRule(NAMES, "1 to 32 of a-z, 0-9 and -")


class Leaf(NamedTuple):
    """One setting."""

    path: Path
    type: Any
    default: Any
    struct: StructType
    names: tuple[NameRule, ...] = ()
    """One for each `ANY` in the path."""

    @property
    def key(self) -> str:
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        return variable_of(self.path)

    @property
    def secret(self) -> bool:
        return is_secret(self.path[-1])

    @property
    def doc(self) -> str:
        return field_docs(self.struct).get(self.path[-1], "")


def variable_of(path: Path) -> str:
    """`("sender", "pools", "my-pool", "host")` is `JETPOST_SENDER_POOLS_MY_POOL_HOST`."""
    return "_".join((PREFIX, *(part.upper().replace("-", "_").replace(".", DOT) for part in path)))


@cache
def leaves(struct: StructType, path: Path = (), names: tuple[NameRule, ...] = ()) -> tuple[Leaf, ...]:
    """Every setting under a struct, in the order in which the structs declare them."""
    return tuple(_leaves(struct, path, names))


def _leaves(struct: StructType, path: Path, names: tuple[NameRule, ...]) -> Iterator[Leaf]:
    types = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        here = (*path, field.name)
        branch = branch_of(types[field.name])
        if branch is not None:
            yield from leaves(branch, here, names)
        elif (element := element_of(types[field.name])) is not None:
            yield from leaves(element, (*here, ANY), (*names, _rule_of(types[field.name])))
        else:
            yield Leaf(here, types[field.name], _default(field), struct, names)


def branch_of(annotation: object) -> StructType | None:
    """The struct that a field holds, if it holds one."""
    return annotation if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct) else None


def element_of(annotation: object) -> StructType | None:
    """The struct that a field holds many of, by name: `Mapping[str, Relay]` gives `Relay`."""
    origin = get_origin(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return branch_of(get_args(annotation)[1])
    return None


def _rule_of(annotation: object) -> NameRule:
    """That of a mapping's keys: `Mapping[Annotated[str, Meta(pattern=…, description=…)], …]` has one of its own."""
    key = get_args(annotation)[0]
    if get_origin(key) is Literal:
        return NameRule(re.compile("|".join(map(re.escape, get_args(key)))), f"one of {', '.join(get_args(key))}")
    for meta in get_args(key)[1:]:
        if isinstance(meta, msgspec.Meta) and meta.pattern:
            return NameRule(re.compile(meta.pattern), meta.description or meta.pattern, dotted=True)
    return _USUAL_NAMES


def _default(field: msgspec.structs.FieldInfo) -> object:
    if field.default is not msgspec.NODEFAULT:
        return field.default
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return msgspec.NODEFAULT


@cache
def field_docs(struct: StructType) -> dict[str, str]:
    """The string under each field of a struct, which is its documentation."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(struct)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    docs: dict[str, str] = {}
    for field, after in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            text = _string(after)
            if text is not None:
                docs[field.target.id] = " ".join(text.split())
    return docs


def _string(node: ast.stmt) -> str | None:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return None


_TYPE_NAMES: Final[Mapping[object, str]] = {str: "text", int: "integer", float: "number", bool: "true or false"}


def type_name(annotation: Any) -> str:  # noqa: ANN401 - any annotation
    """A type as a person would write it down: `integer`, `text`, `list of text`, `one of a, b`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin in (Union, UnionType):
        return " or ".join(type_name(part) for part in arguments if part is not type(None))
    if origin is Literal:
        return "one of " + ", ".join(str(word) for word in arguments if word != "")
    if origin in (list, tuple):
        return f"list of {type_name(arguments[0])}"
    return _TYPE_NAMES.get(annotation) or getattr(annotation, "__name__", str(annotation)).lower()
