"""The campaign of a run: the example newsletter to made-up people, most of them ordinary."""

from __future__ import annotations

import asyncio
import csv
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.chaos.stage import Stage
from events import ids
from events.schemas import DeliveryPolicy
from jetpost import examples
from jetpost.demo import audience
from jetpost.settings import to_environment

_EVERY: Final = 100
_TAGS: Final = {7: "+greylist", 31: "+greylist", 53: "+unknown", 89: "+drop-before"}
"""Among 100 people: who is deferred once, who bounces, on whom a connection breaks before anything was sent."""


class Mailing(NamedTuple):
    id: str
    file: Path
    mails: frozenset[str]
    """The ids of everybody's mail: the plan."""


def write(stage: Stage, campaign: str, policy: DeliveryPolicy) -> Mailing:
    """Write campaign file and audience."""
    folder = stage.folder / "campaigns" / campaign
    shutil.copytree(examples.folder("newsletter"), folder)
    file = folder / "campaign.toml"
    text = re.sub(r'(?m)^policy = "\w+"', f'policy = "{policy}"', file.read_text("utf-8"))
    file.write_text(f'id = "{campaign}"\n{text}', "utf-8")
    addresses = _write_audience(folder / "audience.csv", stage.options.mails, stage.options.seed)
    return Mailing(campaign, file, frozenset(ids.mail_id(campaign, address) for address in addresses))


def _write_audience(file: Path, people: int, seed: int) -> list[str]:
    addresses = []
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(audience.COLUMNS)
        for number, (address, *rest) in enumerate(audience.people(people, seed)):
            local, _, domain = address.partition("@")
            plain = f"{local.partition('+')[0]}{_TAGS.get(number % _EVERY, '')}@{domain}"
            rows.writerow((plain, *rest))
            addresses.append(plain)
    return addresses


async def send(stage: Stage, mailing: Mailing) -> asyncio.subprocess.Process:
    """`jetpost send`, in a process of its own."""
    log = stage.folder / "logs" / "send.log"
    with log.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "jetpost", "send", str(mailing.file),
            env=_environment(stage), stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip


def _environment(stage: Stage) -> dict[str, str]:
    return {**os.environ, **to_environment(stage.stack.settings)}
