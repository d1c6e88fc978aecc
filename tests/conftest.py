"""Fixtures that every kind of test shares: clocks and buses."""

import pytest
from fakes import FakeClock

from events.memory_bus import MemoryBus


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
async def memory_bus(clock):
    """A bus in memory, set up, whose time is the `clock` fixture's."""
    bus = MemoryBus(clock)
    await bus.setup()
    yield bus
    await bus.close()
