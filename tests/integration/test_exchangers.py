"""MX records as a DNS server on loopback gives them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import dns.message
import dns.rcode
import dns.rrset
import msgspec
import pytest
from producing import SETTINGS, plan, produce

from events import schemas, subjects
from events.memory_bus import MemoryBus
from producer.exchangers import Exchangers, ExchangersUnknown
from producer.recipients.recipient import Recipient

ZONE = {
    "acme.com.": ["10 aspmx2.googlemail.com.", "1 aspmx.l.google.com.", "5 alt1.aspmx.l.google.com."],
    "nomail.com.": ["0 ."],
    "plain.com.": [],
}


class Server(asyncio.DatagramProtocol):
    """Answers for `ZONE`, refuses `refused.com`, and knows no other name."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        name = query.question[0].name
        records = ZONE.get(str(name))
        if str(name) == "refused.com.":
            answer.set_rcode(dns.rcode.REFUSED)
        elif records is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif records:
            answer.answer.append(dns.rrset.from_text(name, 300, "IN", "MX", *records))
        self.transport.sendto(answer.to_wire(), addr)


@pytest.fixture
async def dns_server() -> AsyncIterator[str]:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    yield f"{host}:{port}"
    transport.close()


@pytest.fixture
async def exchangers(dns_server) -> AsyncIterator[Exchangers]:
    made = Exchangers([dns_server])
    yield made
    await made.close()


async def test_the_hosts_in_the_order_of_preference(exchangers):
    assert await exchangers.of("acme.com") == ["aspmx.l.google.com", "alt1.aspmx.l.google.com", "aspmx2.googlemail.com"]


@pytest.mark.parametrize("domain", ["plain.com", "unknown.com"])
async def test_none_where_there_is_no_record(exchangers, domain):
    assert await exchangers.of(domain) == []


async def test_a_null_mx_is_nobodys_server(exchangers):
    assert await exchangers.of("nomail.com") in (["."], [""])


async def test_a_refusal_is_no_answer(exchangers):
    with pytest.raises(ExchangersUnknown, match="refused"):
        await exchangers.of("refused.com")


async def test_a_producer_queues_a_mail_for_a_hosted_domain_in_the_lane_of_its_host(dns_server):
    bus = MemoryBus()
    await bus.setup()
    await plan(bus, [Recipient(f"ann@{domain}", "other", False, ("Ann",)) for domain in ("acme.com", "plain.com")])
    settings = msgspec.structs.replace(SETTINGS, mx_lookup=True, dns_servers=(dns_server,))

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
