"""A DNS server on loopback that answers by a zone of the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""By name, with its last dot, the records of each type as a zone file has them. A name without any answers nothing; one that
is not there does not exist; what ends with `refused.com.` is refused."""


class Server(asyncio.DatagramProtocol):
    transport: asyncio.DatagramTransport

    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        asked = query.question[0]
        kind, records = dns.rdatatype.to_text(asked.rdtype), self._zone.get(str(asked.name).lower())
        if str(asked.name).endswith("refused.com."):
            answer.set_rcode(dns.rcode.REFUSED)
        elif records is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif found := records.get(kind):
            answer.answer.append(dns.rrset.from_text(asked.name, 300, "IN", kind, *found))
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def serving(zone: Zone) -> AsyncIterator[str]:
    """Its address, as `producer.dns_servers` has it; the zone may be changed meanwhile."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Server(zone), local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    try:
        yield f"{host}:{port}"
    finally:
        transport.close()
