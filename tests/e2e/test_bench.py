"""`python -m benchmarks e2e`: a small campaign is measured, and its result has what people look for."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AT_MOST_SECONDS = 180
PROCESSES = {"nats-server", "web", "producer-1", "sender-1", "sender-2", "simulator", "launch", "total"}


@pytest.mark.parametrize("options", [(), ("--prefill", "--no-pipelining")], ids=" ".join)
async def test_a_campaign_is_measured_and_its_books_balance(tmp_path, options):
    file = tmp_path / "e2e.json"
    bench = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "benchmarks",
            "e2e",
            "--mails",
            "500",
            "--no-calibration",
            "--json",
            str(file),
            *options,
        ),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(bench.communicate(), AT_MOST_SECONDS)
    finally:
        if bench.returncode is None:
            bench.terminate()
            await bench.wait()
    assert bench.returncode == 0, output.decode()
    found = json.loads(file.read_bytes())
    assert found["balanced"] is True
    assert found["mails_per_second"] > 0
    assert found["ledger"]["accepted"] == found["simulator"]["accepted"] == 500
    assert set(found["cpu_us_per_mail"]) == PROCESSES
    assert found["mail_bytes"] == pytest.approx(10_240, rel=0.01)
    assert found["within_an_hour"] == 1
    assert (found["filling"] is not None) == ("--prefill" in options)
