"""What Jobs of an orchestrator run: it starts things in no order, and some of them twice."""

import asyncio

import pytest
from process_watching import until
from typer.testing import CliRunner

from events import campaigns
from events.nats_bus import BusSettings, NatsBus
from events.nats_server import NatsServer
from jetpost import cli
from jetpost.examples import folder
from producer.errors import CampaignExists

CAMPAIGN = str(folder("newsletter") / "campaign.toml")


@pytest.fixture
def jetpost(tmp_path):
    """Runs a command beside the test."""

    def run(url: str, *arguments: str):
        settings = {
            "COLUMNS": "200",
            "JETPOST_NATS_URL": url,
            "JETPOST_PRODUCER_LINK_SECRET": "correct horse battery staple",
            "JETPOST_PRODUCER_REJECTS_DIR": str(tmp_path),
            "JETPOST_SENDER_POOLS_DEFAULT_RELAY_SIGNS": "true",
        }
        return asyncio.create_task(asyncio.to_thread(CliRunner().invoke, cli.app, arguments, env=settings))

    return run


async def test_setup_waits_for_a_server_that_comes_later(jetpost, tmp_path, free_port, caplog):
    port = free_port()
    setup = jetpost(f"nats://127.0.0.1:{port}", "setup", "--wait", "60")
    await until(lambda: "waiting: cannot connect to NATS" in caplog.text)
    async with NatsServer(tmp_path / "nats", port) as server:
        assert (await setup).exit_code == 0
        bus = await NatsBus.connect(BusSettings(url=server.url), name="test")
        assert await bus.lacking() == []
        await bus.close()


async def test_a_job_that_runs_twice_sends_once(jetpost, nats_bus, empty_nats_server):
    url = empty_nats_server.url
    assert (await jetpost(url, "send", "--unless-sent", CAMPAIGN)).exit_code == 0
    assert len(await campaigns.all_of(nats_bus)) == 1

    again = await jetpost(url, "send", "--unless-sent", CAMPAIGN)
    assert (again.exit_code, "Nothing to do" in again.output) == (0, True)
    assert isinstance((await jetpost(url, "send", CAMPAIGN)).exception, CampaignExists)


async def test_a_job_waits_for_the_end_of_a_campaign_but_not_for_ever(jetpost, nats_bus, empty_nats_server):
    url = empty_nats_server.url
    assert (await jetpost(url, "send", CAMPAIGN)).exit_code == 0
    (sent,) = await campaigns.all_of(nats_bus)
    late = await jetpost(url, "wait", sent.id, "--timeout", "0.1")
    assert "is not finished after 0.1 seconds" in str(late.exception)
    assert "no campaign" in str((await jetpost(url, "wait", "nobody")).exception)

    await campaigns.change(nats_bus, sent.id, campaigns.pause)
    waiting = jetpost(url, "wait", sent.id)
    await campaigns.change(nats_bus, sent.id, campaigns.cancel)
    ended = await waiting
    assert (ended.exit_code, "is cancelled" in ended.output) == (1, True)
