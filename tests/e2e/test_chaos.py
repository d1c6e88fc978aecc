"""`make chaos ARGS="--quick"`: everything is broken once, at random moments, and every promise is kept. Hosts: test_hosts.py."""

import asyncio
import sys
from pathlib import Path

from benchmarks.chaos import catalogue, results

ROOT = Path(__file__).parents[2]
AT_MOST_SECONDS = 900
"""It takes two to three minutes where nothing else runs."""


async def test_every_fault_strikes_once_and_no_promise_is_broken(tmp_path):
    chaos = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.chaos", "--quick", "--json", str(tmp_path / "runs.json")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(chaos.communicate(), AT_MOST_SECONDS)
    finally:
        if chaos.returncode is None:
            chaos.terminate()
            await chaos.wait()
    assert chaos.returncode == 0, output.decode()
    runs = results.read(tmp_path / "runs.json")
    assert {run.fault for run in runs} == {fault.name for fault in catalogue.FAULTS if fault.needs != "hosts"}
    assert not any(run.lost or run.silently_duplicated for run in runs)
