"""`jetpost callbacks` on a real nats-server, and the desk that reads again what was put back."""

import json
import time
from functools import partial

import esps
import pytest

from analytics.hearing.confirming import Confirming
from analytics.hearing.desk import Desk
from analytics.hearing.understanding import HEARD
from events import callbacks, facts, ids, schemas, streams, subjects, suppression
from events.bus import Message
from events.callbacks import Callback
from events.schemas import Campaign

NOW = time.time()
ADA = "ada@example.com"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def jetpost(command):
    return partial(command, "callbacks")


@pytest.fixture
async def bus(nats_bus):
    campaign = Campaign("spring", "Spring", "running", "main", "b@example.com", NOW)
    await (await nats_bus.bucket(streams.CAMPAIGNS)).put("spring", schemas.encode_campaign(campaign))
    return nats_bus


async def hear(bus):
    """Reads what waits, as the ingester does; without ClickHouse, which is asked only of what is late."""
    consumer = await bus.consumer("CALLBACKS", "hearing")
    desk = Desk(bus, consumer, None, suppression.PLAIN, time.time, Confirming(None))
    while (await bus.consumer_state("CALLBACKS", "hearing")).waiting:
        await desk.hear()
    await consumer.close()


BODY = json.dumps(
    [esps.event("sendgrid", name, f"{ids.mail_id('spring', ADA)}.spring", ADA, NOW) for name in ("delivered", "opened")]
).encode()


async def from_tomorrow(bus, endpoint="shop", body=BODY, known_as="1"):
    """Comes of an ESP that this release does not know, and is parked."""
    callback = callbacks.with_body(
        Callback("of-tomorrow", endpoint, NOW, {"content-type": "application/json"}, b""), body
    )
    await bus.publish("CALLBACKS", [callbacks.message_of(callback, known_as)])
    await hear(bus)


def upgrade(monkeypatch):
    """The next release knows that ESP."""
    monkeypatch.setitem(HEARD, "of-tomorrow", HEARD["sendgrid"])


async def stated(bus):
    return [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.EVENTS)]


async def lying(bus, where=subjects.CALLBACKS_PARKED):
    return [callbacks.decode(record.payload) async for record in bus.read("CALLBACKS", where)]


def rows(output):
    return [json.loads(line) for line in output.splitlines()]


async def test_what_is_parked_is_counted_and_listed_by_what_is_asked(bus, jetpost, caplog):
    assert "Nothing" in await jetpost("list")
    await from_tomorrow(bus)
    await from_tomorrow(bus, "other", known_as="2")
    shown = await jetpost("list")
    assert "KeyError: 'of-tomorrow'" in shown
    assert "of-tomorrow/other" in shown
    assert [row["number"] for row in rows(await jetpost("list", "--json"))] == [2, 4]
    assert [row["endpoint"] for row in rows(await jetpost("list", "--endpoint", "other", "--json"))] == ["other"]
    assert rows(await jetpost("list", "--esp", "sendgrid", "--json")) == []
    assert rows(await jetpost("list", "--until", "1h", "--json")) == []


async def test_one_is_shown_with_its_headers_its_body_and_what_it_would_become(bus, jetpost, monkeypatch, caplog):
    await from_tomorrow(bus)
    shown = await jetpost("show", "2")
    assert "content-type: application/json" in shown
    assert '"email": "ada@example.com"' in shown
    assert "Now: parked again: KeyError: 'of-tomorrow'" in shown
    assert await jetpost("show", "2", "--raw") == BODY.decode()
    upgrade(monkeypatch)
    (document,) = rows(await jetpost("show", "2", "--json"))
    assert document["would_become"] == "1 delivered, 1 opened"
    assert "no callback that matches is parked as 7" in await failing(jetpost, "show", "7")


async def failing(jetpost, *arguments):
    """What `main` prints of a fault, which the runner hands over as an exception."""
    with pytest.raises(AssertionError) as caught:
        await jetpost(*arguments)
    return str(caught.value)


async def test_after_an_upgrade_what_was_parked_is_understood_and_gone(bus, jetpost, monkeypatch, caplog):
    await from_tomorrow(bus)
    assert "parked again" in await jetpost("replay", "--dry-run")
    upgrade(monkeypatch)
    assert "1 delivered, 1 opened" in await jetpost("replay", "--dry-run")
    assert (await stated(bus), len(await lying(bus))) == ([], 1)
    await jetpost("replay", answer="n\n", code=1)
    assert "1 callback will be read again" in await jetpost("replay", "--yes")
    assert len(await lying(bus)) == 1, "the original stays until its copy is understood"
    await hear(bus)
    assert [facts.type_of(fact) for fact in await stated(bus)] == ["delivered", "opened"]
    assert await lying(bus) == []
    assert "Nothing" in await jetpost("replay", "--yes")


async def test_a_replay_that_is_given_twice_states_nothing_twice(bus, jetpost, monkeypatch, caplog):
    await from_tomorrow(bus)
    upgrade(monkeypatch)
    await jetpost("replay", "2", "--yes")
    assert "had been put back already" in await jetpost("replay", "2", "--yes")
    # A second copy, as there is where NATS had forgotten the first one.
    (copy,) = [one for one in await lying(bus, subjects.CALLBACKS_NEW) if one.replays]
    await bus.publish("CALLBACKS", [callbacks.message_of(copy, "again")])
    await hear(bus)
    assert len(await stated(bus)) == 2
    assert await lying(bus) == []


async def test_what_is_still_not_understood_is_parked_anew_once(bus, jetpost, caplog):
    await from_tomorrow(bus)
    await jetpost("replay", "--yes")
    (copy,) = [one for one in await lying(bus, subjects.CALLBACKS_NEW) if one.replays]
    await bus.publish("CALLBACKS", [callbacks.message_of(copy, "again")])
    await hear(bus)
    (left,) = rows(await jetpost("list", "--json"))
    assert left["number"] > 2
    assert left["reason"] == "KeyError: 'of-tomorrow'"
    assert "1 callback will be read again" in await jetpost("replay", "--yes")


async def test_only_what_is_named_is_put_back(bus, jetpost, caplog):
    for number, endpoint in enumerate(("shop", "other", "other")):
        await from_tomorrow(bus, endpoint, known_as=str(number))
    assert "1 callback will" in await jetpost("replay", "2", "--yes")
    assert "2 callbacks will" in await jetpost("replay", "--endpoint", "other", "--yes")
    assert "parked as 3" in await failing(jetpost, "replay", "2", "3", "--yes")


async def test_a_body_that_is_gone_is_said_to_be(bus, jetpost, caplog):
    await bus.publish("CALLBACKS", [Message("callbacks.parked.sendgrid.shop", callbacks.encode(damaged()), "1")])
    assert "the body of callback 1 cannot be read" in await failing(jetpost, "show", "1")
    assert "parked again" in await jetpost("replay", "--dry-run")


def damaged():
    return Callback("sendgrid", "shop", NOW, {}, b"no frame", compressed=True, reason="FrameRefused")
