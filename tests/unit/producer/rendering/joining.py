"""From segments to text, the way mails go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from events.forms import Filler
from producer.rendering.blanks import Blanks, pieces
from producer.rendering.segments import Row, Segments, Writer


def join(segments: Segments, write: Writer) -> Callable[[dict[str, Any]], str]:
    made = Blanks(pieces(segments, write))
    text = Filler(made.form).fill
    return lambda values: text(made.fill(Row(values)))
