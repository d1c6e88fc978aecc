"""Lists of what lies in a stream: counted by kind, with the newest one by one, or as JSON lines of all."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterable, Callable
from typing import Any, Generic, NamedTuple, TypeVar

import typer

from jetpost.cli.choosing import as_json, counts
from jetpost.cli.state import out

Item = TypeVar("Item")


class Listing(NamedTuple, Generic[Item]):
    """How items of one sort are listed."""

    title: str
    """What they are called, such as `mails`."""
    columns: tuple[str, ...]
    """What they are counted by."""
    nothing: str
    """What is said where there is none."""
    kind: Callable[[Item], tuple[Any, ...]]
    line: Callable[[Item], str]
    fields: Callable[[Item], dict[str, Any]]
    """For JSON."""


async def show(found: AsyncIterable[Item], how: Listing[Item], limit: int, as_json_lines: bool) -> None:
    """Print as many as `limit` of the newest, which come last, and count all."""
    counted: Counter[tuple[Any, ...]] = Counter()
    newest: deque[Item] = deque(maxlen=limit)
    async for one in found:
        if as_json_lines:
            typer.echo(as_json(how.fields(one)))
            continue
        counted[how.kind(one)] += 1
        newest.append(one)
    if as_json_lines:
        return
    if not counted:
        out.print(how.nothing)
        return
    out.print(counts(how.title, counted, how.columns), "")
    for one in newest:
        out.print(how.line(one))
