"""The fast path: simple templates as lists of constant text and values.

What most mails need, Jinja2 parses and we evaluate: `{{ field }}`, filters without context such as `default` and `upper`,
`{% if field %}…{% elif %}…{% else %}…{% endif %}` with `not`, `and`, `or`, comparisons and `is defined`. Anything else makes
`parse` answer None, and the template is rendered by Jinja2 itself. Jinja2's own parser, filters, undefined and escaping are
used throughout, so what comes out is the same by construction; property tests hold it to that.

Constant text is known before any recipient, and that is the point: whatever must happen to it (quoted-printable) happens once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from jinja2 import Environment, nodes
from jinja2.runtime import StrictUndefined


class Row(dict[str, Any]):
    """A recipient's values by name. What is not there is undefined, which raises when it is used."""

    def __missing__(self, name: str) -> StrictUndefined:
        return StrictUndefined(name=name)


Expression: TypeAlias = Callable[[Row], Any]
Writer: TypeAlias = Callable[[Any], str]
"""How a value becomes text, escaping included."""


class Value(NamedTuple):
    expression: Expression
    key: str = ""
    """The same for the same expression; of a plain `{{ field }}` the field's name."""


class Choice(NamedTuple):
    test: Expression
    then: Segments
    otherwise: Segments
    key: str = ""
    """The same for the same test."""


Segments: TypeAlias = "tuple[str | Value | Choice, ...]"


class _NotSimple(Exception):
    """The template needs Jinja2 itself."""


_FILTERS: Final = frozenset({"capitalize", "d", "default", "lower", "title", "trim", "upper"})
_RESERVED: Final = frozenset({"caller", "kwargs", "loop", "self", "super", "varargs"})
"""Names that mean something to Jinja2 beyond the recipient's values."""
_COMPARISONS: Final = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "gteq": operator.ge,
    "lt": operator.lt,
    "lteq": operator.le,
}


def parse(environment: Environment, source: str) -> Segments | None:
    """None where the template is not simple. Raises `jinja2.TemplateSyntaxError`."""
    try:
        return tuple(_merged(_segments(environment, environment.parse(source).body)))
    except _NotSimple:
        return None


def substituted(segments: Segments, known: Mapping[str, Segments]) -> Segments:
    """With plain `{{ field }}` replaced by what is known of the field; where it has a filter or decides, it stays."""
    return tuple(_merged(_substituted(segments, known)))


def _substituted(segments: Segments, known: Mapping[str, Segments]) -> Iterator[str | Value | Choice]:
    for segment in segments:
        match segment:
            case Value(_, key) if key in known:
                yield from known[key]
            case Choice(test, then, otherwise, key):
                yield Choice(test, substituted(then, known), substituted(otherwise, known), key)
            case _:
                yield segment


def _segments(environment: Environment, body: Iterable[nodes.Node]) -> Iterator[str | Value | Choice]:
    for node in body:
        match node:
            case nodes.Output():
                for child in node.nodes:
                    if isinstance(child, nodes.TemplateData):
                        yield child.data
                    else:
                        yield Value(_expression(environment, child), _key(child))
            case nodes.If():
                yield _choice(environment, node, node.elif_)
            case _:
                raise _NotSimple


def _choice(environment: Environment, node: nodes.If, alternatives: list[nodes.If]) -> Choice:
    then = tuple(_merged(_segments(environment, node.body)))
    test = _expression(environment, node.test)
    if alternatives:
        # `elif` is an `if` in the place of `else`; all of them share the `else` of the first.
        first, *rest = alternatives
        first.else_ = node.else_
        return Choice(test, then, (_choice(environment, first, rest),), _key(node.test))
    return Choice(test, then, tuple(_merged(_segments(environment, node.else_))), _key(node.test))


def _key(node: nodes.Node) -> str:
    return node.name if isinstance(node, nodes.Name) else repr(node)


def _merged(segments: Iterable[str | Value | Choice]) -> Iterator[str | Value | Choice]:
    """Neighbouring constants become one."""
    text = ""
    for segment in segments:
        if isinstance(segment, str):
            text += segment
            continue
        if text:
            yield text
            text = ""
        yield segment
    if text:
        yield text


def _expression(environment: Environment, node: nodes.Node) -> Expression:  # noqa: PLR0911 - a table of node types
    match node:
        case nodes.Name(name=name) if name not in _RESERVED:
            return operator.itemgetter(name)
        case nodes.Const(value=value):
            return lambda _row: value
        case nodes.Filter(name=name, node=nodes.Node() as inner) if name in _FILTERS:
            return _filtered(environment, node, _expression(environment, inner))
        case nodes.Not(node=inner):
            negated = _expression(environment, inner)
            return lambda row: not negated(row)
        case nodes.And(left=left, right=right):
            one, other = _expression(environment, left), _expression(environment, right)
            return lambda row: one(row) and other(row)
        case nodes.Or(left=left, right=right):
            one, other = _expression(environment, left), _expression(environment, right)
            return lambda row: one(row) or other(row)
        case nodes.Compare(expr=left, ops=[nodes.Operand(op=op, expr=right)]) if op in _COMPARISONS:
            compare = _COMPARISONS[op]
            if isinstance(right, nodes.Const):
                of, constant = _expression(environment, left), right.value
                return lambda row: compare(of(row), constant)
            one, other = _expression(environment, left), _expression(environment, right)
            return lambda row: compare(one(row), other(row))
        case nodes.Test(name="defined", node=nodes.Name(name=name)) if name not in _RESERVED:
            return lambda row: name in row
        case _:
            raise _NotSimple


def _filtered(environment: Environment, node: nodes.Filter, inner: Expression) -> Expression:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise _NotSimple
    if not all(isinstance(argument, nodes.Const) for argument in (*node.args, *(pair.value for pair in node.kwargs))):
        raise _NotSimple
    arguments = [argument.as_const() for argument in node.args]
    named = {str(pair.key): pair.value.as_const() for pair in node.kwargs}
    function = environment.filters[node.name]
    return lambda row: function(inner(row), *arguments, **named)
