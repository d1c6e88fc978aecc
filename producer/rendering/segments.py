"""The fast path: simple templates as lists of constant text and values, joined for each recipient.

What most mails need, Jinja2 parses and we evaluate: `{{ field }}`, filters without context such as `default` and `upper`,
`{% if field %}…{% elif %}…{% else %}…{% endif %}` with `not`, `and`, `or`, comparisons and `is defined`. Anything else makes
`parse` answer None, and the template is rendered by Jinja2 itself. Jinja2's own parser, filters, undefined and escaping are
used throughout, so what comes out is the same by construction; property tests hold it to that.

Constant text is known before any recipient, and that is the point: whatever must happen to it (quoted-printable) happens once.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from jinja2 import Environment, nodes
from jinja2.runtime import StrictUndefined

Values: TypeAlias = Mapping[str, Any]
Expression: TypeAlias = Callable[[Values], Any]
Writer: TypeAlias = Callable[[Any], str]
"""How a value becomes text, escaping included."""


class Value(NamedTuple):
    expression: Expression


class Choice(NamedTuple):
    test: Expression
    then: Segments
    otherwise: Segments


Segments: TypeAlias = "tuple[str | Value | Choice, ...]"
Piece: TypeAlias = "str | Callable[[Values], str]"


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


def pieces(segments: Iterable[str | Value | Choice], write: Writer) -> list[Piece]:
    """What `join` takes: the constants, and a function for all else."""
    return [segment if isinstance(segment, str) else _piece(segment, write) for segment in segments]


def join(pieces: Sequence[Piece]) -> Callable[[Values], str]:
    """A function from values to text. It raises what the expressions raise, `jinja2.UndefinedError` among it."""
    constants = [piece if isinstance(piece, str) else "" for piece in pieces]
    slots = [(index, piece) for index, piece in enumerate(pieces) if not isinstance(piece, str)]

    def joined(values: Values) -> str:
        parts = constants.copy()
        for index, slot in slots:
            parts[index] = slot(values)
        return "".join(parts)

    return joined


def _piece(segment: Value | Choice, write: Writer) -> Callable[[Values], str]:
    match segment:
        case Value(expression):
            return lambda values: write(expression(values))
        case Choice(test, then, otherwise):
            join_then, join_otherwise = join(pieces(then, write)), join(pieces(otherwise, write))
            return lambda values: join_then(values) if test(values) else join_otherwise(values)


def _segments(environment: Environment, body: Iterable[nodes.Node]) -> Iterator[str | Value | Choice]:
    for node in body:
        match node:
            case nodes.Output():
                for child in node.nodes:
                    if isinstance(child, nodes.TemplateData):
                        yield child.data
                    else:
                        yield Value(_expression(environment, child))
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
        return Choice(test, then, (_choice(environment, first, rest),))
    return Choice(test, then, tuple(_merged(_segments(environment, node.else_))))


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
            return _field(name)
        case nodes.Const(value=value):
            return lambda _values: value
        case nodes.Filter(name=name, node=nodes.Node() as inner) if name in _FILTERS:
            return _filtered(environment, node, _expression(environment, inner))
        case nodes.Not(node=inner):
            negated = _expression(environment, inner)
            return lambda values: not negated(values)
        case nodes.And(left=left, right=right):
            one, other = _expression(environment, left), _expression(environment, right)
            return lambda values: one(values) and other(values)
        case nodes.Or(left=left, right=right):
            one, other = _expression(environment, left), _expression(environment, right)
            return lambda values: one(values) or other(values)
        case nodes.Compare(expr=left, ops=[nodes.Operand(op=op, expr=right)]) if op in _COMPARISONS:
            compare = _COMPARISONS[op]
            one, other = _expression(environment, left), _expression(environment, right)
            return lambda values: compare(one(values), other(values))
        case nodes.Test(name="defined", node=nodes.Name(name=name)) if name not in _RESERVED:
            return lambda values: name in values
        case _:
            raise _NotSimple


def _field(name: str) -> Expression:
    def field(values: Values) -> object:
        try:
            return values[name]
        except KeyError:
            return StrictUndefined(name=name)

    return field


def _filtered(environment: Environment, node: nodes.Filter, inner: Expression) -> Expression:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise _NotSimple
    if not all(isinstance(argument, nodes.Const) for argument in (*node.args, *(pair.value for pair in node.kwargs))):
        raise _NotSimple
    arguments = [argument.as_const() for argument in node.args]
    named = {str(pair.key): pair.value.as_const() for pair in node.kwargs}
    function = environment.filters[node.name]
    return lambda values: function(inner(values), *arguments, **named)
