from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from fakes import FakeClock

from producer.hosting import ASKED_AGAIN_SECONDS, AT_ONCE, KEPT_SECONDS, Hosting, provider_of
from producer.recipients.addresses import normalise
from producer.recipients.recipient import Recipient
from producer.resolver import Unanswered


class Zone:
    """What the DNS says, and how often it was asked."""

    def __init__(self, **exchangers: list[str] | None) -> None:
        self.exchangers = {name.replace("_", "."): hosts for name, hosts in exchangers.items()}
        self.asked: Counter[str] = Counter()
        self.most = self.under_way = 0

    async def of(self, domain: str) -> list[str]:
        self.asked[domain] += 1
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        found = self.exchangers.get(domain, [])
        if found is None:
            raise Unanswered(domain)
        return found


def rows(*addresses: str) -> list[Recipient]:
    return [Recipient(*normalise(address), ()) for address in addresses]


async def test_a_hosted_domain_goes_into_the_lane_of_its_host():
    zone = Zone(
        acme_com=["aspmx.l.google.com", "alt1.aspmx.l.google.com"], corp_net=["corp-net.mail.protection.outlook.com"]
    )
    placed = await Hosting(zone.of, FakeClock()).place(
        rows("ann@acme.com", "bob@corp.net", "cy@gmail.com", "di@alone.org", "ed@acme.com")
    )
    assert [row.provider for row in placed] == ["gmail", "microsoft", "gmail", "other", "gmail"]
    assert [row.address for row in placed] == [
        "ann@acme.com",
        "bob@corp.net",
        "cy@gmail.com",
        "di@alone.org",
        "ed@acme.com",
    ]
    assert zone.asked == {"acme.com": 1, "corp.net": 1, "alone.org": 1}


async def test_an_answer_is_kept_for_a_day_and_a_failure_for_minutes():
    zone, clock = Zone(acme_com=["smtp.google.com"], away_com=None), FakeClock()
    hosting = Hosting(zone.of, clock)
    await hosting.place(rows("ann@acme.com", "bob@away.com"))
    zone.exchangers["away.com"] = ["mx01.mail.icloud.com"]
    clock.advance(ASKED_AGAIN_SECONDS - 1)
    [_, still] = await hosting.place(rows("ann@acme.com", "bob@away.com"))
    assert (still.provider, zone.asked["away.com"]) == ("other", 1)
    clock.advance(2)
    [_, then] = await hosting.place(rows("ann@acme.com", "bob@away.com"))
    assert (then.provider, zone.asked["away.com"], zone.asked["acme.com"]) == ("apple", 2, 1)
    clock.advance(KEPT_SECONDS)
    await hosting.place(rows("ann@acme.com"))
    assert zone.asked["acme.com"] == 2


async def test_a_resolver_that_never_answers_delays_a_batch_by_no_more_than_is_allowed():
    async def silence(domain: str) -> list[str]:
        if domain == "acme.com":
            return ["smtp.google.com"]
        await asyncio.Event().wait()
        raise AssertionError

    hosting = Hosting(silence, FakeClock(), longest_seconds=0.01)
    placed = await hosting.place(rows("ann@acme.com", "bob@mute.com"))
    assert [row.provider for row in placed] == ["gmail", "other"]


async def test_only_so_many_are_asked_for_at_once():
    zone = Zone()
    await Hosting(zone.of, FakeClock()).place(rows(*(f"ann@domain{number}.com" for number in range(3 * AT_ONCE))))
    assert zone.most == AT_ONCE
    assert len(zone.asked) == 3 * AT_ONCE


async def test_reserved_names_are_not_asked_for():
    zone = Zone(myexample_com=["smtp.google.com"])
    placed = await Hosting(zone.of, FakeClock()).place(
        rows("a@example.com", "b@mail.example.org", "c@shop.test", "d@myexample.com")
    )
    assert [row.provider for row in placed] == ["other", "other", "other", "gmail"]
    assert set(zone.asked) == {"myexample.com"}


@pytest.mark.parametrize(
    ("exchangers", "provider"),
    [
        (["SMTP.GOOGLE.COM."], "gmail"),
        (["acme-com.mail.protection.outlook.com"], "microsoft"),
        (["acme-com.b-v1.mx.microsoft"], "microsoft"),
        (["mx01.mail.icloud.com", "mx02.mail.icloud.com"], "apple"),
        (["mta5.am0.yahoodns.net"], "yahoo"),
        (
            ["mx.filter.example", "aspmx.l.google.com"],
            "other",
        ),  # what stands before Google decides on how fast is too fast
        (["notgoogle.com"], "other"),
        (["evilgoogle.com"], "other"),
        ([], "other"),
    ],
)
def test_the_preferred_exchanger_tells_the_provider(exchangers, provider):
    assert provider_of(exchangers) == provider
