"""What all gates of a process have in common."""

from __future__ import annotations

from typing import NamedTuple

from sender.patience import Patience
from sender.retry import Random
from sender.throttle.keeper import Keeper
from sender.throttle.returns import Returns
from sender.throttle.server_clock import ServerClock


class Shared(NamedTuple):
    keeper: Keeper
    clock: ServerClock
    random: Random
    sender: str
    """Tells this process from others."""
    patience: Patience
    returns: Returns
