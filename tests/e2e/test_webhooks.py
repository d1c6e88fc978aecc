"""A campaign through an ESP: it takes the mails by SMTP, and calls back out of order, several times, and late."""

import asyncio
import email
import email.policy
import json
import random
import time
from types import SimpleNamespace

import esps
import httpx
import jetpost_command
import pytest
import smtp_servers
from process_watching import until

from jetpost import runtime

PEOPLE = [f"reader{number}@example.net" for number in range(60)]
SETTINGS = """
[web]
port = 0

[web.webhooks.shop]
esp = "sendgrid"
public_keys = ["{key}"]

[sender]
fetch_wait_seconds = 0.5

[sender.pools.main]
port = {port}
esp = "sendgrid"

[analytics]
batch_age_seconds = 0.2
closing_interval_seconds = 0.3
exact_check_interval_seconds = 0.3
"""
CAMPAIGN = """
id = "{name}"
name = "The {name} letter"
from = "A Long Way Home <letter@longwayhome.example>"
subject = "News"
html = "mail.html"
audience = "audience.csv"
"""


@pytest.fixture
async def mailbox():
    async with smtp_servers.aiosmtpd() as server:
        yield server


@pytest.fixture
async def up(tmp_path, mailbox):
    (tmp_path / "jetpost.toml").write_text(SETTINGS.format(port=mailbox.port, key=esps.sendgrid_key()))
    (tmp_path / "mail.html").write_text("<p>Hello</p><a href='{{ unsubscribe_url }}'>Leave</a>")
    (tmp_path / "audience.csv").write_text("\n".join(["email", *PEOPLE]))
    process = await jetpost_command.start(tmp_path, "up")
    try:
        await until(lambda: process.returncode is not None or runtime.find(tmp_path / "jetpost-data"))
        assert process.returncode is None, await process.communicate()
        web = runtime.find(tmp_path / "jetpost-data").web_url
        async with httpx.AsyncClient(base_url=web) as client:
            yield SimpleNamespace(web=client, folder=tmp_path, messages=mailbox.messages)
    finally:
        process.terminate()
        await process.communicate()


async def report(up, campaign) -> dict:
    return (await up.web.get(f"/api/campaigns/{campaign}")).raise_for_status().json()


async def send(up, name) -> dict[str, str]:
    """Sends a campaign and awaits its end; what its mails carry for the ESP, by recipient."""
    (up.folder / f"{name}.toml").write_text(CAMPAIGN.format(name=name))
    ended = await jetpost_command.run(up.folder, "send", f"{name}.toml")
    assert ended.code == 0, ended.output + ended.errors

    async def is_over():
        return (await report(up, name))["campaign"]["status"] == "finished"

    await until(is_over)
    mails = [email.message_from_bytes(message, policy=email.policy.default) for message in up.messages]
    carried = {
        mail["To"].addresses[0].addr_spec: json.loads(mail["X-SMTPAPI"])["unique_args"]["jetpost"] for mail in mails
    }
    return {address: reference for address, reference in carried.items() if reference.endswith(f".{name}")}


async def call_back(up, events) -> None:
    headers, body = esps.signed("sendgrid", json.dumps(events).encode(), time.time())
    answer = await up.web.post("/webhooks/sendgrid/shop", content=body, headers=headers)
    assert answer.status_code == 200, answer.text


async def test_out_of_order_twice_and_late_it_still_counts_exactly(up):
    carried = await send(up, "first")
    assert sorted(carried) == sorted(PEOPLE)
    dead, complainer, blocked, *rest = PEOPLE
    readers = rest[:20]
    now = time.time() + 60  # who clicks within seconds of acceptance is taken for a scanner

    def event(name, address):
        return esps.event("sendgrid", name, carried[address], address, now)

    events = [event("delivered", address) for address in [*rest, complainer]]
    events += [event("hard", dead), event("soft", blocked), event("complained", complainer)]
    events += [event(name, address) for address in readers for name in ("opened", "clicked")]
    events += [esps.event("sendgrid", "hard", "somebody-elses-mail", PEOPLE[-1], now)]
    dice = random.Random(3)
    told = events * 3
    dice.shuffle(told)
    await asyncio.gather(*(call_back(up, told[start : start + 7]) for start in range(0, len(told), 7)))

    async def counted():
        found = (await up.web.get("/api/campaigns/first/engagement")).json()
        return (
            found["delivered"] == 58 and found["returned"] == 2 and found["complained"] == 1 and found["clicks"] == 20
        )

    await until(counted)
    found = (await up.web.get("/api/campaigns/first/engagement")).json()
    assert (found["delivered"], found["complained"]) == (58, 1)
    assert (found["opens"], found["unique_opens"], found["clicks"], found["unique_clicks"]) == (20, 20, 20, 20)
    assert (found["returned"], found["returned_hard"]) == (2, 1)
    ledger = (await report(up, "first"))["figures"]["progress"]["ledger"]
    assert (ledger["planned"], ledger["accepted"]) == (60, 60)

    async def later():
        later.number += 1
        return set(await send(up, f"later-{later.number}"))

    later.number = 0
    missing = set(PEOPLE) - await later()
    while missing != {dead, complainer} and later.number < 5:  # it takes effect within seconds
        missing = set(PEOPLE) - await later()
    assert missing == {dead, complainer}
    shown = await jetpost_command.run(up.folder, "report", "first")
    assert "says the ESP: delivered 58" in shown.output


@pytest.mark.parametrize(
    ("webhook", "said"),
    [
        ('esp = "sendgrid"', "public_keys or basic_secrets"),
        ('esp = "ses"', "topic_arns"),
        ('esp = "mailgun"\nsigning_secrets = [""]', "would prove nothing"),
        ('esp = "mailjet"\nbasic_secrets = ["u:p"]\nallow_from = ["nowhere"]', "allow_from"),
        ('esp = "mailjet"\nsecrets_file = "missing.toml"', "missing.toml"),
    ],
)
async def test_an_endpoint_that_nothing_checks_is_told_of_at_once(tmp_path, webhook, said):
    (tmp_path / "jetpost.toml").write_text(f"[web]\nport = 0\n[web.webhooks.shop]\n{webhook}\n")
    ended = await jetpost_command.run(tmp_path, "up")
    assert ended.code != 0
    assert said in (ended.output + ended.errors).replace("\n", " ")
