"""A worker whose mails are signed."""

import logging

import pytest
from dkim_keys import NOW, dkimpy_verdicts, settings
from fakes import FakeClock
from msgspec.structs import replace
from sender_world import SETTINGS, World, refused

from sender.dkim import keys as dkim_keys
from sender.dkim.signature import Signer, SigningKey
from sender.drivers.base import NotTried
from sender.errors import DkimKeyUnusable
from sender.settings import DkimKeys

SIGNING = replace(SETTINGS, dkim={"example.com": settings()})


@pytest.fixture
async def world():
    """At a time that dkimpy believes."""
    world = World(FakeClock(NOW), from_header="News <news@example.com>")
    await world.set_up()
    yield world
    await world.stop()


@pytest.fixture
def seen(world):
    """Every mail as it was handed to the relay, by id."""
    handed = {}
    answer = world.relay.answer

    def note(outbound, at):
        handed.setdefault(outbound.mail_id, []).append(outbound.message)
        return answer(outbound, at)

    world.relay.answer = note
    return handed


async def test_every_mail_has_two_good_signatures(world, seen):
    await world.queue(*[f"mail{n:02}" for n in range(12)])
    await world.start(settings=SIGNING)
    await world.until_settled()
    assert set(world.relay.took.values()) == {1}
    assert [dkimpy_verdicts(message) for (message,) in seen.values()] == [[True, True]] * 12


async def test_a_mail_that_no_session_took_keeps_its_signatures_within_the_attempt(world, seen):
    world.relay.script["mail00"] = [NotTried("closed"), NotTried("closed")]
    await world.queue("mail00")
    await world.start(settings=SIGNING)
    await world.until_settled()
    assert len(seen["mail00"]) == 3
    assert len(set(seen["mail00"])) == 1


async def test_a_retry_is_signed_anew(world, seen):
    world.relay.script["mail00"] = [refused("transient")]
    await world.queue("mail00")
    await world.start(settings=SIGNING)
    await world.until_settled()
    first, second = seen["mail00"]
    assert first != second
    assert first.partition(b"\r\nFrom:")[2] == second.partition(b"\r\nFrom:")[2]


async def test_without_a_key_for_its_domain_a_mail_goes_out_as_it_is_and_the_log_says_so_once(world, seen, caplog):
    await world.set_campaign(from_header="news@example.org")
    await world.queue(*[f"mail{n:02}" for n in range(12)])
    with caplog.at_level(logging.WARNING):
        await world.start(settings=SIGNING)
        await world.until_settled()
    assert not any(b"DKIM-Signature" in message for (message,) in seen.values())
    assert len([said for said in caplog.messages if "without a DKIM signature" in said]) == 1


async def test_without_usable_keys_no_sender_starts(world):
    with pytest.raises(DkimKeyUnusable):
        await world.start(settings=replace(SETTINGS, dkim={"example.com": DkimKeys()}))


async def test_while_nothing_can_be_signed_mails_wait_without_using_up_a_delivery(world):
    """No thread can be had for it, or the key does not work: time stands still, so no mail comes again."""
    failures = iter([RuntimeError("can't start new thread")] * 3)
    key = dkim_keys.load("example.com", settings())[0].signing

    def sign(digest):
        if (failure := next(failures, None)) is not None:
            raise failure
        return key.sign(digest)

    await world.queue(*[f"mail{n:02}" for n in range(12)], provider="gmail")
    worker = await world.start(settings=SIGNING)
    worker._signing._signers["example.com"] = Signer("example.com", [SigningKey("rsa-sha256", "one", sign)])
    await world.until(lambda: world.relay.took.total() == 12)
    assert next(failures, None) is None
    assert set(world.relay.took.values()) == {1}
