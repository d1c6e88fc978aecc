"""What all connections of one simulator share: settings, counts, chance, and the memory of earlier tries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from events.providers import Provider
from jetpost.simulator.behaviours import Behaviour
from jetpost.simulator.counts import Counts
from jetpost.simulator.profiles import Guard, Profile, Visit
from jetpost.simulator.settings import Faults, SimulatorSettings


class World:
    def __init__(self, settings: SimulatorSettings, counts: Counts, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.faults = settings.faults
        self.calm = False
        """No fault can strike, and no provider says that it is too much."""
        self.counts = counts
        self._clock = clock
        self.guards: dict[Provider, Guard] = {}
        self._random = Random(settings.faults.seed)  # noqa: S311 - chance, not secrets
        self._tries: dict[tuple[Behaviour, bytes], tuple[int, float]] = {}
        self.set_profiles(settings.profiles)

    def visit(self) -> Visit:
        """For a connection."""
        return Visit(self.guards, self._clock, self.counts.refused)

    def set_faults(self, faults: Faults) -> None:
        """From now on these strike, and no others; chance goes on where it was."""
        self.faults = faults
        self.calm = _calm(faults) and not self.guards

    def set_profiles(self, profiles: Mapping[Provider, Profile]) -> None:
        """From now on providers bear so much; those that are not named bear anything. What was is forgotten."""
        now = self._clock()
        self.guards.clear()
        self.guards.update({provider: Guard(profile, now) for provider, profile in profiles.items()})
        self.calm = _calm(self.faults) and not self.guards

    def count_try(self, behaviour: Behaviour, recipient: bytes) -> tuple[int, float]:
        """Notes a try of a tagged recipient; returns how many came before, and the seconds since the first."""
        now = self._clock()
        earlier, first = self._tries.get((behaviour, recipient), (0, now))
        self._tries[behaviour, recipient] = (earlier + 1, first)
        return earlier, now - first

    def strikes(self, fault: str, probability: float) -> bool:
        """Whether a fault happens now; counted if so."""
        struck = probability > 0 and self._random.random() < probability
        if struck:
            self.counts.faults[fault] += 1
        return struck


def _calm(faults: Faults) -> bool:
    return not any(getattr(faults, name) for name in Faults.__struct_fields__ if name != "seed")
