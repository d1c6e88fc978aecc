"""`jetpost up` and `jetpost send` with real relays: what a campaign's owner types, and what its recipients get.

One stack serves all tests here. It has a pool for each relay; every test sends a campaign of its own.
"""

import email.policy
import json
import re
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace

import httpx
import jetpost_command
import pytest
import pytest_asyncio
import smtp_servers
import trustme
from process_watching import until

from jetpost import runtime
from jetpost.simulator import client

pytestmark = pytest.mark.asyncio(loop_scope="module")

EXAMPLE = Path(__file__).parents[2] / "examples" / "newsletter"
PEOPLE = 48
POOLS = ("postfix", "sink", "starttls", "implicit", "slow")
SUBMISSION = 'host = "localhost"\nusername = "ada"\npassword = "secret"\nca_file = "ca.pem"\n'
EXTRA = {
    "starttls": f'tls = "starttls"\n{SUBMISSION}',
    "implicit": f'tls = "implicit"\n{SUBMISSION}',
    "slow": "max_connections = 1\npipeline_depth = 1\n",
}
SETTINGS = """
[web]
port = 0

[producer]
public_url = "https://mail.longwayhome.example"

[sender]
fetch_wait_seconds = 0.5

[sender.retry]
transient_base_seconds = 0.2
hint_max_seconds = 0.3

[analytics]
batch_age_seconds = 0.2
closing_interval_seconds = 0.3
exact_check_interval_seconds = 0.3
cancel_quiet_seconds = 1.5
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exits():
    async with AsyncExitStack() as exits:
        yield exits


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sending")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def certificate(folder):
    """A PEM file for the servers; `ca.pem` in the folder is who issued it."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder / "server.pem"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def submission(exits, folder, certificate):
    """A simulator that takes mail only over TLS of either kind, and after AUTH."""
    tls = smtp_servers.simulator_tls(certificate)
    server = smtp_servers.simulator(
        folder / "submission", smtps_port=0, credentials=("ada", "secret"), greylist_seconds=0.1, **tls
    )
    return await exits.enter_async_context(server)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def slow(exits, folder):
    """A simulator that takes a fifth of a second for every mail to a `+slow` recipient."""
    return await exits.enter_async_context(smtp_servers.simulator(folder / "slow", slow_seconds=0.2))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def up(exits, folder, submission, slow, free_port):
    """`jetpost up` in the folder, with a pool for each relay; its address, and the pools' ports."""
    ports = {name: free_port() for name in POOLS}
    ports |= {"starttls": submission.port, "implicit": submission.smtps, "slow": slow.port}
    pools = (f"[sender.pools.{name}]\nport = {port}\n{EXTRA.get(name, '')}" for name, port in ports.items())
    (folder / "jetpost.toml").write_text(SETTINGS + "\n".join(pools), "utf-8")
    process = await jetpost_command.start(folder, "up")
    exits.push_async_callback(process.communicate)
    exits.callback(process.terminate)
    await until(lambda: process.returncode is not None or runtime.find(folder / "jetpost-data"))
    assert process.returncode is None, await process.communicate()
    return SimpleNamespace(web=runtime.find(folder / "jetpost-data").web_url, ports=ports)


@pytest.fixture
def jetpost(folder, up):
    """Runs a command beside the stack that must succeed; what it says on standard output."""

    async def jetpost(*arguments, code=0) -> str:
        ended = await jetpost_command.run(folder, *arguments)
        assert ended.code == code, ended.output + ended.errors
        return ended.output

    return jetpost


def audience(tags=(), who="p") -> str:
    """48 people, called `who` with a number, some with tags in their addresses, one twice, and a row without an address."""
    tags = [*tags, *[""] * (PEOPLE - len(tags))]
    providers = ("gmail.com", "outlook.com", "yahoo.com", "icloud.com", "example.net")
    rows = [
        f"{who}{number}{tag}@{providers[number % 5]},Ådne{number},Ås,Tromsø,May 2021" for number, tag in enumerate(tags)
    ]
    return "\n".join(["email,first_name,last_name,city,joined", *rows, rows[3], "nobody at all,Bad,Row,,"]) + "\n"


def write_campaign(folder, name, pool, text) -> str:
    """The example campaign with an audience of ours; the path of its file."""
    copy = folder / "campaigns" / name
    shutil.copytree(EXAMPLE, copy)
    (copy / "audience.csv").write_text(text, "utf-8")
    file = copy / "campaign.toml"
    example = file.read_text("utf-8")
    changed = re.sub(r"^# id = .*$", f'id = "{name}"\npool = "{pool}"', example, flags=re.MULTILINE)
    assert changed != example
    file.write_text(changed, "utf-8")
    return str(file)


async def detail(up, campaign) -> dict:
    async with httpx.AsyncClient(base_url=up.web) as web:
        return (await web.get(f"/api/campaigns/{campaign}")).raise_for_status().json()


async def is_over(up, campaign) -> bool:
    document = await detail(up, campaign)
    figures = document["figures"]
    ended = document["campaign"]["status"] in ("finished", "cancelled")
    return ended and figures is not None and figures["progress"]["balanced"]


async def send(jetpost, up, folder, pool, tags=()) -> dict:
    """Check, send and await a campaign named as its pool; its report. Who bounces is suppressed from then on: tags are for people
    of their own."""
    file = write_campaign(folder, pool, pool, audience(tags, who=pool if tags else "p"))
    assert "can be sent" in await jetpost("check", file)
    said = await jetpost("send", file)
    assert f"{pool} planned: {PEOPLE} recipients in 1 batch" in said
    await until(lambda: is_over(up, pool))
    report = json.loads(await jetpost("report", pool, "--json"))
    assert (report["campaign"]["duplicates"], report["campaign"]["rejected"]) == (1, 1)
    rejects = (folder / "campaigns" / pool / f"{pool}.rejects.csv").read_text("utf-8").splitlines()
    assert len(rejects) == 2
    assert rejects[1].startswith("51,")
    return report


def ledger_of(report) -> dict[str, int]:
    """The places of the ledger where somebody is."""
    ledger = report["figures"]["progress"]["ledger"]
    return {place: count for place, count in ledger.items() if count}


async def complete(server) -> bool:
    """Whether all messages lie in the sink's folder, to their last line."""
    return len([body for body in server.bodies() if b"--\n" in body[-8:]]) == PEOPLE


def check_mail(messages) -> None:
    """What arrived: one mail for each recipient, and in each what Python's parser should find."""
    mails = [email.message_from_bytes(message, policy=email.policy.default) for message in messages]
    assert len({mail["Message-ID"] for mail in mails}) == PEOPLE
    mail = next(mail for mail in mails if mail["To"].addresses[0].addr_spec == "p7@yahoo.com")
    assert mail["X-Rcpt-Args"].startswith("<p7@yahoo.com>")
    assert mail["X-Mail-Args"].startswith("<bounces@longwayhome.example>")
    assert mail["Subject"] == "Ådne7, three slow journeys from Tromsø"
    assert mail["From"].addresses[0].domain == "longwayhome.example"
    assert re.fullmatch(r"<[a-z2-7]{16}\.[a-z0-9-]+@longwayhome\.example>", mail["Message-ID"])
    assert re.match(r"<https://mail\.longwayhome\.example/\S+>", mail["List-Unsubscribe"])
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    for kind in ("plain", "html"):
        assert "Ådne7" in mail.get_body((kind,)).get_content()
    assert not mail.defects


@pytest.mark.postfix
async def test_a_real_postfix_relays_every_mail_and_it_arrives_whole(jetpost, up, folder, free_port):
    async with smtp_servers.smtp_sink(free_port()) as mailboxes:
        onward = f"default_transport = smtp\nrelayhost = [127.0.0.1]:{mailboxes.port}\n"
        async with smtp_servers.postfix(up.ports["postfix"], onward):
            report = await send(jetpost, up, folder, "postfix")
            await until(lambda: complete(mailboxes))
            check_mail(mailboxes.bodies())
    assert ledger_of(report) == {"planned": PEOPLE, "accepted": PEOPLE}


@pytest.mark.postfix
async def test_smtp_sink_gets_every_mail(jetpost, up, folder):
    async with smtp_servers.smtp_sink(up.ports["sink"]) as sink:
        report = await send(jetpost, up, folder, "sink")
        await until(lambda: complete(sink))
        check_mail(sink.bodies())
    assert ledger_of(report) == {"planned": PEOPLE, "accepted": PEOPLE}


@pytest.mark.parametrize("pool", ["starttls", "implicit"])
async def test_mail_is_submitted_over_tls_with_a_password(jetpost, up, folder, submission, pool):
    before = (await client.stats(submission.control)).accepted
    report = await send(jetpost, up, folder, pool, tags=["+unknown", "+unknown", "+blocked", "+greylist", "+greylist"])
    assert ledger_of(report) == {"planned": PEOPLE, "accepted": PEOPLE - 3, "bounced": 2, "failed": 1}
    after = await client.stats(submission.control)
    assert (after.accepted - before, after.accepted_more_than_once) == (PEOPLE - 3, 0)

    events = [json.loads(line) for line in (await jetpost("events", pool, "--json")).splitlines()]
    assert sum(event["type"] == "accepted" for event in events) == PEOPLE - 3
    assert [event["code"] for event in events if event["type"] == "bounced"] == [550, 550]
    assert "finished" in await jetpost("status", pool)


async def test_a_campaign_is_paused_goes_on_and_is_cancelled_and_every_mail_is_accounted_for(jetpost, up, folder, slow):
    async def taken(before=0):
        return (await client.counters(slow.control)).messages - before

    await jetpost("send", write_campaign(folder, "slow", "slow", audience(["+slow"] * PEOPLE)))
    await until(taken)
    assert "slow is paused" in await jetpost("pause", "slow")
    at_rest = await taken()
    assert "paused" in await jetpost("status", "slow")  # takes as long as several mails would
    assert await taken(before=at_rest) <= 1  # the one that was on its way

    assert "slow is running" in await jetpost("resume", "slow")
    await until(lambda: taken(before=at_rest))
    assert "slow is cancelled" in await jetpost("cancel", "slow", "--yes")
    await until(lambda: is_over(up, "slow"))

    ledger = ledger_of(json.loads(await jetpost("report", "slow", "--json")))
    assert ledger.keys() == {"planned", "accepted", "cancelled"}
    assert ledger["planned"] == PEOPLE == ledger["accepted"] + ledger["cancelled"]
    assert ledger["accepted"] == (await client.stats(slow.control)).accepted


@pytest.mark.parametrize(("name", "holds"), [("mail.html", "<html"), ("mail.eml", "\nMessage-ID: <")])
async def test_a_preview_is_written_to_a_file(jetpost, folder, name, holds):
    copied = shutil.copytree(EXAMPLE, folder / f"example-{name}") / "campaign.toml"
    copied.write_text('pool = "sink"\n' + copied.read_text("utf-8"), "utf-8")
    await jetpost("preview", str(copied), "-o", name)
    written = (folder / name).read_text("utf-8")
    assert holds in written
    assert "Ada" in written


async def test_a_campaign_with_a_mistake_is_refused_before_anything_is_sent(jetpost, up, folder):
    file = write_campaign(folder, "mistaken", "nowhere", audience())
    await jetpost("check", file, code=1)
    await jetpost("send", file, code=1)
    assert "mistaken" not in await jetpost("status")
