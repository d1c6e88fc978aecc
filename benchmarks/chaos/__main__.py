"""Chaos: real processes, faults at random moments, and every mail counted on both sides.

    python -m benchmarks.chaos [--quick | --full] [--seed N] [--only FAULT …] [--runs N] [--mails N] [--json FILE]

For each fault a campaign is sent again and again on a stack of nats-server, web app with ingester, senders, producers and
mailbox simulator, all of them processes on loopback, or on hosts of their own (`hosts`). While it is sent the fault strikes
(`faults`, `faults_smtp`, `faults_cluster`, `faults_hosts`). When nothing is left to do, what the simulator took, what EVENTS
says, what the API counts and what ClickHouse holds are laid beside each other, mail by mail (`truth`), and held against the
promises (`verdict`).

Exit code 1 where a promise was broken; the folder of that run, with all logs and the mails in question, is kept and named.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.chaos import catalogue, hosts, results
from benchmarks.chaos.experiment import experiment
from benchmarks.chaos.fault import Fault
from benchmarks.chaos.options import FULL, QUICK, USUAL, Options
from benchmarks.chaos.results import Run
from benchmarks.chaos.stage import Stage, opened


def main() -> None:
    arguments = _parser().parse_args()
    options = _options(arguments)
    chosen = _chosen(arguments.only, options)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whatever ends us, what we started ends too
    began = time.monotonic()
    try:
        runs = asyncio.run(_all(chosen, options, arguments.json))
    except hosts.HostsRefused as error:
        sys.exit(str(error))
    results.show(runs, options, time.monotonic() - began)
    sys.exit(1 if any(run.broken for run in runs) else 0)


async def _all(faults: Sequence[Fault], options: Options, json_file: Path | None) -> list[Run]:
    """On one nats-server, on three, and on hosts; where asked to, on several stacks at the same time."""
    alone, clustered, spread = (
        [fault for fault in faults if fault.needs == needs] for needs in ("server", "cluster", "hosts")
    )
    if options.together:
        groups = (alone[::2], alone[1::2], clustered, spread)
        found = await asyncio.gather(*(_share(group, options, json_file) for group in groups))
    else:
        found = [await _share(group, options, json_file) for group in (alone, clustered, spread)]
    return [run for runs in found for run in runs]


async def _share(faults: Sequence[Fault], options: Options, json_file: Path | None) -> list[Run]:
    """Faults that need the same servers share a stack, until a run breaks a promise: then its stack is kept as it was."""
    runs: list[Run] = []
    waiting = [(fault, number) for fault in faults for number in range(options.runs)]
    while waiting:
        runs += await _on_one_stage(waiting, options, json_file)
    return runs


async def _on_one_stage(waiting: list[tuple[Fault, int]], options: Options, json_file: Path | None) -> list[Run]:
    """Takes from `waiting` until it is empty or a promise is broken."""
    folder = Path(tempfile.mkdtemp(prefix="jetpost-chaos-"))
    runs: list[Run] = []
    async with opened(folder, options, waiting[0][0].needs) as stage:
        while waiting and not any(run.broken for run in runs):
            runs.append(await _one(stage, *waiting.pop(0), options, json_file))
    if options.keep or any(run.broken for run in runs):
        print(f"  kept for inspection: {folder}", flush=True)
    else:
        shutil.rmtree(folder)
    return runs


async def _one(stage: Stage, fault: Fault, number: int, options: Options, json_file: Path | None) -> Run:
    run = await experiment(stage, fault, number, options)
    results.tell(run)
    if json_file:
        results.append(json_file, run)
    return run


def _chosen(only: Sequence[str] | None, options: Options) -> list[Fault]:
    """Those that were named, else all that can be had here and are not left out."""
    if only:
        return [fault for fault in catalogue.FAULTS if fault.name in only]
    lacking = hosts.lacking() if options.hosts else "hosts are left out"
    if options.hosts and lacking:
        print(f"without faults of hosts: {lacking}", flush=True)
    return [fault for fault in catalogue.FAULTS if fault.needs != "hosts" or not lacking]


def _options(arguments: argparse.Namespace) -> Options:
    base = QUICK if arguments.quick else FULL if arguments.full else USUAL
    return base.with_changes(
        seed=arguments.seed,
        runs=arguments.runs,
        mails=arguments.mails,
        ack_wait_seconds=arguments.ack_wait,
        keep=arguments.keep or None,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_true", help=f"once each, {QUICK.mails:,} mails, none of hosts: under three minutes"
    )
    size.add_argument("--full", action="store_true", help=f"{FULL.runs} times each, {FULL.mails:,} mails at full speed")
    parser.add_argument("--seed", type=int, help="the same seed chooses the same victims and moments")
    parser.add_argument("--only", action="append", choices=[fault.name for fault in catalogue.FAULTS], metavar="FAULT")
    parser.add_argument("--runs", type=int, help="runs of each fault")
    parser.add_argument("--mails", type=int, help="mails in each run")
    parser.add_argument("--ack-wait", type=float, help="seconds after which a dead worker's mails go to another")
    parser.add_argument("--keep", action="store_true", help="keep all folders, also where every promise was kept")
    parser.add_argument("--json", type=Path, help="add the runs to this file")
    return parser


if __name__ == "__main__":
    main()
