"""A campaign from its audience to its ledger, with a user of NATS for each component: nobody needs what they may not do."""

import asyncio
import json
import random
import smtplib
import time
from urllib.parse import urlsplit

import esps
import httpx
import nats_users
import pytest
import smtp_servers
from process_watching import until

from analytics.web.security import COMMAND_HEADER
from events import breaker, campaigns, ids, streams, subjects
from events.breaker import Opening
from events.bus import Message
from events.ledger import Ledger
from events.permissions import COMPONENTS
from events.tokens import Signer
from events.verp import Verp
from jetpost.components import bounces, clickhouse, ingester, producer, sender, web

LINK_SECRET, VERP_SECRET = "link secret of the tests", "verp secret of the tests"
MAIL_DOMAIN = "mail.example.com"
SETTINGS = """
data_dir = "data"
[nats]
url = "{nats}"
[producer]
batch_size = 20
link_secret = "{link_secret}"
public_url = "https://mail.example.com"
[sender]
verp_secret = "{verp_secret}"
fetch_wait_seconds = 0.2
[sender.retry]
transient_base_seconds = 0.2
soft_interval_seconds = 3600
limit = 1
[sender.pools.main]
port = {relay}
relay_signs = true
esp = "sendgrid"
limits = {{ rate = 500, connections = 4, daily = 100000 }}
[sender.pools.new]
port = {relay}
relay_signs = true
warmup = {{ enabled = true, first_day_mails = 1000 }}
[web]
port = 0
[web.webhooks.shop]
esp = "sendgrid"
public_keys = ["{key}"]
[bounces]
port = 0
[analytics]
batch_age_seconds = 0.1
closing_interval_seconds = 0.2
exact_check_interval_seconds = 0.2
cancel_quiet_seconds = 0.5
[analytics.clickhouse]
url = "chdb://{folder}/clickhouse"
"""
CAMPAIGN = """
id = "{name}"
name = "The {name} letter"
pool = "{pool}"
from = "Jetpost <letter@example.com>"
return_path = "bounces@example.com"
subject = "Hello"
html = "mail.html"
audience = "{name}.csv"
list = "weekly"
tracking = true
"""
HTML = """<p>Hello {{ email }} <a href="https://shop.example/">Shop</a> <a href="{{ unsubscribe_url }}">Leave</a></p>"""
READER, LEAVER, POISON, DOUBT, DOUBTFUL, GONE, SUPPRESSED = (
    f"{who}@gmail.com" for who in ("reader", "leaver", "poison", "doubt", "doubtful", "gone", "no")
)
BLOCKED, FULL, FULLER = "a+blocked@yahoo.com", "b+full@yahoo.com", "c+full@yahoo.com"
ORDINARY = [f"r{number}@{domain}" for number in range(10) for domain in ("gmail.com", "example.net", "outlook.com")]
SPECIAL = [READER, LEAVER, POISON, DOUBT, DOUBTFUL, GONE, SUPPRESSED, BLOCKED, FULL, FULLER]
PEOPLE = [*SPECIAL, "d+unknown@gmail.com", "e+greylist@gmail.com", *ORDINARY]
TOLD = {
    *("accepted", "bounced", "failed", "suppressed", "deferred", "in_doubt", "doubt_resolved", "requeued"),
    *("clicked", "opened", "unsubscribed", "resubscribed", "tracking_changed", "delivered", "returned"),
}
"""What must have happened to the mails of the campaign."""
DSN = """From: MAILER-DAEMON@gmail.com
To: {to}
Subject: Undelivered
Message-ID: <1@gmail.com>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: text/plain

Your mail could not be delivered.
--x
Content-Type: message/delivery-status

Reporting-MTA: dns; gmail.com

Final-Recipient: rfc822; {recipient}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 no such user

--x
Content-Type: text/rfc822-headers

Subject: Hello

--x--
"""


@pytest.fixture
async def installed(tmp_path, monkeypatch):
    """A server with users, and everything running that needs no operator; the simulator takes the mails."""
    monkeypatch.chdir(tmp_path)
    async with (
        smtp_servers.simulator(tmp_path / "simulator", greylist_seconds=0.1) as relay,
        nats_users.installation(tmp_path) as made,
    ):
        values = {"nats": made.server.url, "relay": relay.port, "key": esps.sendgrid_key(), "folder": tmp_path}
        secrets = {"link_secret": LINK_SECRET, "verp_secret": VERP_SECRET}
        (tmp_path / "jetpost.toml").write_text(SETTINGS.format(**values, **secrets))
        (tmp_path / "mail.html").write_text(HTML)
        made.relay = relay
        yield made


def write_campaign(made, name, people, pool="main"):
    (made.folder / f"{name}.toml").write_text(CAMPAIGN.format(name=name, pool=pool))
    (made.folder / f"{name}.csv").write_text("\n".join(["email", *people]))
    return f"{name}.toml"


def mail_of(address, campaign="spring"):
    return ids.mail_id(campaign, address)


async def counted(bus, filter_subject):
    return sum((await bus.count_by_subject(streams.MAIL.name, filter_subject)).values())


async def leave_a_poisonous_mail_and_claims(bus):
    """As senders do that die: one mail was delivered as often as is allowed, of others only the claim is known."""
    lane = await bus.consumer("MAIL", streams.lane_name("spring", "main", "gmail"))
    held = {}
    for _ in range(streams.MAX_DELIVERIES):
        found = await lane.fetch(100, 5)
        held |= {delivery.sequence: delivery for delivery in found}
        (poisonous,) = [one for one in found if mail_of(POISON).encode() in one.payload]
        await lane.release([held.pop(poisonous.sequence)])
    await lane.close()
    await lane.release(list(held.values()))
    claims = [Message(subjects.CLAIMS, b"", ids.attempt_id(mail_of(who), 1)) for who in (DOUBT, DOUBTFUL)]
    await bus.publish("CLAIMS", claims)


async def react(made):
    """What a reader does, and one who leaves; and what an ESP tells."""
    leave, track = (Signer(LINK_SECRET, purpose) for purpose in ("unsubscribe", "track"))
    host = {"host": MAIL_DOMAIN}
    async with httpx.AsyncClient(base_url=made.addresses["public web"], headers=host) as public:
        clicked = await public.get(f"/c/{track.token('spring', mail_of(READER))}/1")
        assert (clicked.status_code, clicked.headers["location"]) == (302, "https://shop.example/")
        assert (await public.get(f"/o/{track.token('spring', mail_of(READER))}")).status_code == 200
        page = f"/u/{leave.token('spring', mail_of(LEAVER))}"
        assert "Jetpost" in (await public.get(page)).text
        for wish in ({"List-Unsubscribe": "One-Click"}, {"do": "untrack"}, {"do": "again"}, {"do": "all"}):
            assert (await public.post(page, data=wish)).status_code == 200
        assert (await public.get("/readyz")).status_code == 200
        for told in (some_events(), many_events(), b"[1]"):
            headers, body = esps.signed("sendgrid", told, time.time())
            said = await public.post("/webhooks/sendgrid/shop", content=body, headers=headers)
            assert said.status_code in (200, 400)


def event(kind, address, number=0):
    return esps.event("sendgrid", kind, f"{mail_of(address)}.spring", address, time.time(), str(number))


def some_events():
    return json.dumps([event("delivered", READER), event("hard", GONE), {"event": "of tomorrow"}]).encode()


def many_events():
    """More than a message may hold."""
    padding = {"padding": random.randbytes(500_000).hex()}
    return json.dumps([event("opened", ORDINARY[0], 1) | padding]).encode()


def bring_a_bounce(made):
    to = Verp(VERP_SECRET).address("bounces@example.com", "spring", mail_of(GONE))
    address = urlsplit(f"lmtp://{made.addresses['bounces lmtp']}")
    with smtplib.LMTP(address.hostname, address.port) as server:
        server.sendmail("", [to], DSN.format(to=to, recipient=GONE))


async def stop_a_lane(bus, name):
    """As a sender does that sees too many mails refused."""
    opening = Opening(time.time(), "blocks", 9, 10, 0.1, "9 of 10 mails were refused")
    await breaker.change(bus, name, lambda health: breaker.open_lane(health, "main.gmail", opening))


async def test_a_campaign_goes_from_its_audience_to_its_ledger_and_nobody_lacks_a_permission(installed):
    made, jetpost = installed, installed.jetpost
    assert "Streams are as" in await jetpost("setup", user="setup")
    await clickhouse.migrate(made.settings_of("setup").settings.analytics)
    bus = await nats_users.connect_as(made, nats_users.ADMIN)
    await made.run("ingester", ingester.run)
    await made.run("web", web.run, JETPOST_WEB_SERVE="inside")
    await made.run("web", web.run, user="public", JETPOST_WEB_SERVE="public")
    await made.run("bounces", bounces.run)
    await prepare_spring(made, bus)
    await made.run("sender", sender.run)
    await send_spring(made, bus)
    await mend_spring(made)
    await change_a_campaign_that_runs(made, bus)
    await keep_the_suppression_list(made)
    for name in ("spring", "autumn"):
        await jetpost("reconcile", name)
    await jetpost("rebuild", "--yes")
    ledger = Ledger(**json.loads(await jetpost("report", "spring", "--json"))["figures"]["progress"]["ledger"])
    assert ledger.balanced
    assert all((ledger.accepted, ledger.bounced, ledger.failed, ledger.suppressed))
    told = await bus.count_by_subject("EVENTS", subjects.events_of_campaign("spring"))
    assert {subject.split(".")[1] for subject in told} >= TOLD
    for component in COMPONENTS:
        if component.name in made.buses:
            assert await made.buses[component.name].lacking(component.looks_at) == []
    assert made.server.violations == []
    await bus.close()


async def prepare_spring(made, bus):
    """Plan, render, and leave a mail that kills its workers and one of which nobody knows whether it was sent."""
    await made.jetpost("suppression", "add", SUPPRESSED)
    file = write_campaign(made, "spring", PEOPLE)
    await made.jetpost("check", file)
    await made.jetpost("send", file, "--at", "1h")
    for priority in ("urgent", "normal"):
        await made.jetpost("priority", "spring", priority)  # nobody has taken its batches yet
    await made.run("producer", producer.run)
    await until(lambda: counted_is(bus, subjects.MAIL_DUE, len(PEOPLE) - 1))
    await leave_a_poisonous_mail_and_claims(bus)


async def send_spring(made, bus):
    """Send it, with what its readers, its ESP and mail servers do; some mails are tried again."""
    await made.jetpost("reschedule", "spring", "--now")
    await until(lambda: counted_is(bus, subjects.mail_waiting_where(failure_class="soft"), 2))
    await react(made)
    await asyncio.to_thread(bring_a_bounce, made)
    assert FULL in await made.jetpost("retries", "list")
    await made.jetpost("retries", "now", "--recipient", FULL)
    await made.jetpost("retries", "cancel", "--recipient", FULLER, "--yes")
    await made.jetpost("wait", "spring", "--timeout", "60")


async def mend_spring(made):
    """What needs a person."""
    jetpost = made.jetpost
    assert DOUBT in await jetpost("doubts", "list")
    await jetpost("doubts", "accept", "spring", "--recipient", DOUBT, "--yes")
    await jetpost("doubts", "resend", "spring", "--recipient", DOUBTFUL, "--yes")
    assert BLOCKED in await jetpost("dlq", "list")
    await jetpost("dlq", "replay", "spring", "--class", "block", "--yes")
    await jetpost("wait", "spring", "--timeout", "60")
    await jetpost("callbacks", "list")
    await jetpost("callbacks", "replay", "--yes")


async def change_a_campaign_that_runs(made, bus):
    """Slow it down, lead it elsewhere, stop a lane, pause it and end it, as a person and over the API."""
    jetpost = made.jetpost
    await jetpost("lanes", "limit", "new", "all", "1")
    await jetpost("warmup", "set", "new", "gmail", "--day", "3")
    await jetpost("send", write_campaign(made, "autumn", PEOPLE, "new"))
    await stop_a_lane(bus, "autumn")
    assert "autumn" in await jetpost("breaker", "list")
    await jetpost("route", "autumn", "yahoo=main,new")
    await jetpost("breaker", "resume", "autumn")
    for what in ("pause", "resume"):
        await jetpost(what, "autumn")
    async with httpx.AsyncClient(base_url=made.addresses["web web"], headers={COMMAND_HEADER: "1"}) as inside:
        for what in ("pause", "resume"):
            (await inside.post(f"/api/campaigns/autumn/{what}")).raise_for_status()
        await stop_a_lane(bus, "autumn")
        for what in ("breaker/resume", "cancel"):
            (await inside.post(f"/api/campaigns/autumn/{what}")).raise_for_status()
        for path in ("/readyz", "/api/campaigns", "/api/campaigns/autumn", "/api/lanes", "/api/breakers"):
            (await inside.get(path)).raise_for_status()
    await jetpost("cancel", "autumn", "--yes")
    await jetpost("lanes", "clear", "new", "all")
    await until(lambda: has_ended(bus, "autumn"))


async def has_ended(bus, name):
    return (await campaigns.get(bus, name)).finished_at is not None


async def keep_the_suppression_list(made):
    jetpost = made.jetpost
    (made.folder / "more.csv").write_text("email\nmore@example.com\n")
    await jetpost("suppression", "import", "more.csv")
    assert "more@example.com" in await jetpost("suppression", "export")
    await jetpost("suppression", "remove", "more@example.com")
    await jetpost("suppression", "compact")


async def counted_is(bus, filter_subject, number):
    return await counted(bus, filter_subject) == number
