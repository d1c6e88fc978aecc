"""MX and TXT records as a DNS server on loopback gives them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import dns_server
import msgspec
import pytest
from producing import SETTINGS, plan, produce

from events import schemas, subjects
from events.memory_bus import MemoryBus
from producer.recipients.recipient import Recipient
from producer.resolver import Resolver, Unanswered

ZONE = {
    "acme.com.": {
        "MX": ["10 aspmx2.googlemail.com.", "1 aspmx.l.google.com.", "5 alt1.aspmx.l.google.com."],
        "TXT": [f'"{"x" * 255}" "and the rest"', '"v=spf1 -all"'],
    },
    "nomail.com.": {"MX": ["0 ."]},
    "plain.com.": {},
}


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async with dns_server.serving(ZONE) as address:
        yield address


@pytest.fixture
async def resolver(server) -> AsyncIterator[Resolver]:
    made = Resolver([server])
    yield made
    await made.close()


async def test_the_hosts_in_the_order_of_preference(resolver):
    assert await resolver.exchangers("acme.com") == [
        "aspmx.l.google.com",
        "alt1.aspmx.l.google.com",
        "aspmx2.googlemail.com",
    ]


@pytest.mark.parametrize("domain", ["plain.com", "unknown.com"])
async def test_none_where_there_is_no_record(resolver, domain):
    assert await resolver.exchangers(domain) == []
    assert await resolver.texts(domain) == []


async def test_the_strings_of_a_text_are_joined(resolver):
    assert sorted(await resolver.texts("acme.com")) == ["v=spf1 -all", "x" * 255 + "and the rest"]


async def test_a_null_mx_is_nobodys_server(resolver):
    assert await resolver.exchangers("nomail.com") in (["."], [""])


async def test_a_refusal_is_no_answer(resolver):
    for ask in (resolver.exchangers, resolver.texts):
        with pytest.raises(Unanswered, match=r"refused\.com: .*refused"):
            await ask("refused.com")


async def test_a_producer_queues_a_mail_for_a_hosted_domain_in_the_lane_of_its_host(server):
    bus = MemoryBus()
    await bus.setup()
    await plan(bus, [Recipient(f"ann@{domain}", "other", False, ("Ann",)) for domain in ("acme.com", "plain.com")])
    settings = msgspec.structs.replace(SETTINGS, mx_lookup=True, dns_servers=(server,))

    async def both_queued() -> bool:
        return len([record async for record in bus.read("MAIL", subjects.MAIL_DUE)]) == 2

    await produce(bus, time.time, both_queued, settings)
    queued = {
        schemas.decode_mail(record.payload).recipient: record.subject
        async for record in bus.read("MAIL", subjects.MAIL_DUE)
    }
    assert queued == {
        "ann@acme.com": subjects.mail_due("main", "gmail", "autumn"),
        "ann@plain.com": subjects.mail_due("main", "other", "autumn"),
    }
