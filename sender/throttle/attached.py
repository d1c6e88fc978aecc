"""What a gate needs to know of the lanes behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sender.throttle.gate import Gate


class Attached(Protocol):
    """A lane, as far as its gates know it."""

    def demand(self, gate: Gate) -> int:
        """Mails that could go if this gate were open."""
        ...

    def could_use_a_connection(self) -> bool:
        """Whether mails could go within a lease's time."""
        ...

    def opens_sooner(self) -> None:
        """A gate that was shut for long opens sooner than was known."""
        ...

    @property
    def notify(self) -> Callable[[], None]:
        """Wakes a session for it, and others of its pool."""
        ...
