"""What nats-py is told of where NATS is."""

import pytest

from events import nats_connect
from events.nats_bus import BusSettings

THREE = "nats://here:4222, nats://there:4222,nats://elsewhere:4222"


@pytest.mark.parametrize("randomize", [True, False])
def test_addresses_are_tried_in_any_order_or_in_that_of_the_setting(randomize):
    options = nats_connect.options(BusSettings(url=THREE, randomize=randomize))
    assert options["servers"] == ["nats://here:4222", "nats://there:4222", "nats://elsewhere:4222"]
    assert options["dont_randomize"] is not randomize
