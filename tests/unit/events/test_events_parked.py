"""Callbacks that nobody understood: choosing, putting back, and what becomes of the originals."""

import msgspec
import pytest

from events import callbacks, parked, subjects
from events.callbacks import Callback
from events.parked import Wanted

AT = 1_800_000_000.0


async def park(bus, esp="sendgrid", endpoint="shop", at=AT, body=b"{}", reason="KeyError: 'x'"):
    callback = callbacks.with_body(Callback(esp, endpoint, at, {"content-type": "application/json"}, b""), body)
    await bus.publish("CALLBACKS", [callbacks.parked_message(callback, f"{esp}-{endpoint}-{at}-{body!r}", reason)])


async def matching(bus, **wanted):
    return [one async for one in parked.matching(bus, Wanted(**wanted))]


async def copies(bus):
    return [callbacks.decode(record.payload) async for record in bus.read("CALLBACKS", subjects.CALLBACKS_NEW)]


@pytest.mark.parametrize(
    ("wanted", "sequences"),
    [
        ({}, [1, 2, 3]),
        ({"esp": "sendgrid"}, [1, 3]),
        ({"endpoint": "other"}, [2]),
        ({"esp": "sendgrid", "endpoint": "other"}, []),
        ({"since": AT + 1}, [2, 3]),
        ({"until": AT + 1}, [1, 2]),
        ({"sequences": frozenset({2, 3, 9})}, [2, 3]),
        ({"sequences": frozenset({2}), "esp": "sendgrid"}, []),
        ({"sequences": frozenset()}, []),
    ],
)
async def test_those_that_somebody_asks_for(memory_bus, wanted, sequences):
    await park(memory_bus)
    await park(memory_bus, "mailgun", "other", AT + 1)
    await park(memory_bus, at=AT + 2)
    assert [one.sequence for one in await matching(memory_bus, **wanted)] == sequences


async def test_a_copy_says_what_it_was_put_back_from_and_is_otherwise_the_same(memory_bus):
    await park(memory_bus, body=b"x" * 9_000)
    found = await matching(memory_bus)
    assert await parked.put_back(memory_bus, found) == 1
    (copy,) = await copies(memory_bus)
    assert (copy.replays, copy.reason) == (1, "")
    assert callbacks.body_of(copy, copy.body) == b"x" * 9_000
    assert await matching(memory_bus) == found


async def test_who_puts_back_twice_puts_back_once(memory_bus):
    for number in range(120):
        await park(memory_bus, at=AT + number)
    found = await matching(memory_bus)
    assert await parked.put_back(memory_bus, found) == 120
    assert await parked.put_back(memory_bus, found) == 0
    assert len(await copies(memory_bus)) == 120


async def test_the_originals_of_copies_are_found_where_they_still_lie(memory_bus):
    for number in range(4):
        await park(memory_bus, at=AT + number)
    await parked.put_back(memory_bus, await matching(memory_bus))
    all_copies = await copies(memory_bus)
    await memory_bus.delete("CALLBACKS", [2])
    assert await parked.originals(memory_bus, [all_copies[0], all_copies[1], all_copies[3]]) == [1, 4]
    assert await parked.originals(memory_bus, [Callback("sendgrid", "shop", AT, {}, b"{}")]) == []


async def test_nothing_else_is_taken_for_an_original_whatever_a_callback_claims(memory_bus):
    await park(memory_bus)
    await parked.put_back(memory_bus, await matching(memory_bus))
    (copy,) = await copies(memory_bus)
    for forged in ({"body": b"other"}, {"endpoint": "other"}, {"received_at": AT + 1}, {"replays": 2}):
        assert await parked.originals(memory_bus, [msgspec.structs.replace(copy, **forged)]) == []
