"""`jetpost demo` as a stranger runs it: a campaign through every part of the system, and its books at the end."""

import asyncio
import contextlib
import json
import os
import signal

import httpx
import jetpost_command
import pytest
from process_watching import until, with_variable

from jetpost import runtime

FINAL = ("accepted", "bounced", "failed", "suppressed", "expired", "cancelled", "in_doubt")
STABLE = {
    "": "ledger balanced mails_per_second latency_seconds simulator providers queue_bytes versions",
    "ledger": f"planned {' '.join(FINAL)} queued retrying",
    "latency_seconds": "p50 p99 p999",
    "simulator": "accepted accepted_more_than_once",
}
"""Keys of the report that scripts rely on, by where they are."""


async def test_the_demo_balances_and_its_report_has_the_keys_that_scripts_rely_on(tmp_path):
    ended = await jetpost_command.run(tmp_path, "demo", "--recipients", "400", "--exit", "--json", "report.json")
    assert (ended.code, ended.errors) == (0, "")
    assert "balanced ✓" in ended.output

    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    for place, keys in STABLE.items():
        assert set(keys.split()) <= (report[place] if place else report).keys()
    ledger, simulator = report["ledger"], report["simulator"]
    assert report["balanced"] is True
    assert ledger["planned"] == 400 == sum(ledger[place] for place in FINAL)
    assert ledger["accepted"] == simulator["accepted"] > 0
    assert simulator["accepted_more_than_once"] == 0
    assert report["queue_bytes"]["ratio"] > 10
    assert report["mails_per_second"] > 0
    assert 0 < report["latency_seconds"]["p50"] <= report["latency_seconds"]["p999"]


@pytest.fixture
async def demo(tmp_path):
    """A demo large enough to be interrupted; whatever of it still runs at the end is killed."""
    arguments = ("demo", "--recipients", "20000", "--exit", "--keep", "kept")
    process = await jetpost_command.start(tmp_path, *arguments, STARTED_BY=str(tmp_path))
    yield process
    for pid in with_variable(f"STARTED_BY={tmp_path}"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    await process.communicate()


async def accepted(data_dir) -> int:
    """How many mails the running demo has counted as accepted."""
    running = runtime.find(data_dir)
    if running is None:
        return 0
    async with httpx.AsyncClient(base_url=running.web_url) as web:
        cards = (await web.get("/api/campaigns")).json()["campaigns"]
    return sum(card["progress"]["ledger"]["accepted"] for card in cards if card["progress"])


async def test_a_demo_that_is_interrupted_ends_in_order_and_leaves_no_process(demo, tmp_path):
    ours, kept = f"STARTED_BY={tmp_path}", tmp_path / "kept"
    await until(lambda: accepted(kept))
    assert len(with_variable(ours)) >= 6  # the command, simulator, nats-server, web, sender, producer

    os.killpg(demo.pid, signal.SIGINT)  # as Ctrl-C does
    async with asyncio.timeout(30):
        _, errors = await demo.communicate()

    assert (demo.returncode, errors) == (130, b"")
    assert with_variable(ours) == []
    for name in ("web", "sender-1", "producer-1"):
        last = (kept / "logs" / f"{name}.log").read_text().splitlines()[-1]
        assert json.loads(last)["message"] == "stopped"
    assert not (kept / "run.json").exists()
