"""Databases for audiences: a table of people in SQLite or PostgreSQL, and what a launch made of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec

from benchmarks.frame.postgres import PostgresServer
from events import campaigns, facts, plans, schemas, subjects
from events.bus import Bus
from events.facts import BatchPlanned, BatchQueued, CampaignPlanned, CampaignStarted
from events.ids import mail_id
from producer.campaign import compiled
from producer.recipients import blob
from producer.recipients.recipient import Recipient
from producer.settings import Database, ProducerSettings

ID = "sale"
SETTINGS = ProducerSettings(link_secret="a secret of the tests", batch_size=3, public_url="https://mail.example/")
CAMPAIGN = """\
id = "sale"
name = "Sale"
from = "Ann <ann@example.com>"
subject = "Hello {{ name }}"
html = "mail.html"
pool = "relay"

[audience]
database = "crm"
query = \"\"\"
SELECT id, email, name
FROM people
\"\"\"
"""


class People(Protocol):
    """A database with a table `people`."""

    url: str

    def execute(self, *statements: str) -> None: ...


class SqlitePeople:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "crm.db"
        self.url = f"sqlite:///{self._path}"
        self.execute("PRAGMA journal_mode = wal")

    def execute(self, *statements: str) -> None:
        with closing(sqlite3.connect(self._path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)


class PostgresPeople:
    def __init__(self, server: PostgresServer) -> None:
        self.url = server.url
        self.execute = server.execute


def refill(people: People, rows: Sequence[tuple[object, str | None]], key: str = "bigint") -> None:
    """Makes the table anew: keys and addresses; everybody's name is `N` and the key."""
    values = ", ".join(f"({_sql(id_)}, {_sql(email)}, 'N{id_}')" for id_, email in rows)
    people.execute(
        "DROP TABLE IF EXISTS people",
        f"CREATE TABLE people (id {key}, email text, name text)",
        f"INSERT INTO people VALUES {values}",
    )


def _sql(value: object) -> str:
    return "NULL" if value is None else str(value) if isinstance(value, int) else f"'{value}'"


def write_campaign(folder: Path, text: str = CAMPAIGN) -> Path:
    (folder / "campaign.toml").write_text(text)
    (folder / "mail.html").write_text("<p>Hello {{ name }}</p>")
    return folder / "campaign.toml"


def settings_for(people: People, batch_size: int = 3) -> ProducerSettings:
    return msgspec.structs.replace(SETTINGS, batch_size=batch_size, databases={"crm": Database(url=people.url)})


async def planned(bus: Bus) -> list[Recipient]:
    """Everybody that a finished launch planned, in order. What it said, stored and queued must agree."""
    said = [facts.decode(record.payload) async for record in bus.read("EVENTS", subjects.events_of_campaign(ID))]
    jobs = [schemas.decode_batch(r.payload) async for r in bus.read("BATCHES", "batches.>") if ID in r.subject]
    (ended,) = [fact for fact in said if isinstance(fact, CampaignPlanned)]
    counts = {fact.batch: fact.planned for fact in said if isinstance(fact, BatchPlanned)}
    kinds = Counter(type(fact) for fact in said if not isinstance(fact, BatchQueued))
    assert kinds == {CampaignStarted: 1, BatchPlanned: ended.batches, CampaignPlanned: 1}
    assert sorted(counts) == list(range(1, ended.batches + 1))
    assert [(job.number, job.planned) for job in jobs] == sorted(counts.items())
    blobs, found = await bus.blobs(), []
    for job in jobs:
        recipients = blob.decode(await blobs.get(job.recipients))
        assert len(recipients) == job.planned
        ids = plans.decode(await blobs.get(plans.blob_name(ID, job.number)))
        assert ids == [mail_id(ID, recipient.identity) for recipient in recipients]
        assert job.recipients == compiled.batch_name(ID, job.number)
        found += recipients
    known = await campaigns.get(bus, ID)
    assert (known.planned, known.duplicates, known.rejected) == (len(found), ended.duplicates, ended.rejected)
    assert ended.planned == len(found)
    return found
