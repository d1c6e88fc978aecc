"""All settings as a JSON schema, for editors and for whatever makes a settings file: the chart's values are held against it."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from jetpost.settings_tree import ANY, Leaf, StructType, leaves

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_LOOKING_AHEAD: Final = re.compile(r"\(\?[=!][^()]*\)")
"""In the rule for domains. Most programs that read schemas know no such patterns; the settings themselves are checked by it."""

Schema = dict[str, Any]


def schema(struct: StructType) -> Schema:
    """That of a settings file. Nothing but settings may stand in it."""
    root = _table()
    for leaf in leaves(struct):
        _place(root, leaf)
    return {"$schema": DIALECT, **root}


def _table() -> Schema:
    return {"type": "object", "additionalProperties": False}


def _place(root: Schema, leaf: Leaf) -> None:
    node, names = root, iter(leaf.names)
    for part in leaf.path[:-1]:
        if part == ANY:
            pattern = f"^({_LOOKING_AHEAD.sub('', next(names).pattern.pattern)})$"
            node = node.setdefault("patternProperties", {}).setdefault(pattern, _table())
        else:
            node = node.setdefault("properties", {}).setdefault(part, _table())
    node.setdefault("properties", {})[leaf.path[-1]] = {**_value(leaf), "description": leaf.doc}


def _value(leaf: Leaf) -> Schema:
    made = msgspec.json.schema(leaf.type, schema_hook=lambda _: {"type": "string"})  # paths are texts
    for kind in made.get("anyOf", [made]):
        if kind.get("type") in ("integer", "number"):
            kind.setdefault("minimum", 0)  # no setting means anything below
        if leaf.path[-1] == "port":
            kind["maximum"] = 65_535
    return made
