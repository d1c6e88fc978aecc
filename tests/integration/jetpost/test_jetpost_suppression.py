"""`jetpost suppression` on a real nats-server."""

import csv
import json
import re
import shlex
import time
from pathlib import Path

import pytest

from events import streams
from events.suppression import PLAIN, Hashing
from events.suppression_list import SuppressionList

SECRET = "correct horse battery staple"
HEADER = "address,hash,list,reason,source,added_at,expires_at"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def jetpost(command):
    async def suppression(*arguments, code=0, secret=""):
        return await command("suppression", *arguments, code=code, JETPOST_SUPPRESSION_HASH_SECRET=secret)

    return suppression


async def known(bus, list_, *addresses, hashing=PLAIN):
    found = SuppressionList(bus, hashing, time.time)
    await found.catch_up()
    return dict(found.among(list_, addresses))


async def messages(bus):
    return (await bus.stream_state(streams.SUPPRESSION.name)).messages


async def test_an_address_is_added_checked_and_removed(nats_bus, jetpost):
    assert "not suppressed" in await jetpost("check", "ann@example.com")
    await jetpost("add", "Ann@Example.COM", "bob@example.com", "--reason", "complaint", "--list", "news")
    await jetpost("add", "ann@example.com", "--expires", "90d")
    assert await known(nats_bus, "news", "ann@example.com", "bob@example.com") == {
        "ann@example.com": "manual",
        "bob@example.com": "complaint",
    }
    told = await jetpost("check", "ann@example.com", code=1)
    assert "gets no mail of news: complaint" in told
    assert "manual until" in told
    rows = [json.loads(line) for line in (await jetpost("check", "ann@example.com", "--json", code=1)).splitlines()]
    assert {(row["list"], row["reason"]) for row in rows} == {("news", "complaint"), ("", "manual")}
    await jetpost("remove", "ann@example.com")
    await jetpost("remove", "ann@example.com", "--list", "news")
    told = await jetpost("check", "ann@example.com")
    assert "not suppressed" in told
    assert told.count("removed") == 2


async def test_whoever_is_removed_hears_what_still_holds(nats_bus, jetpost):
    assert await jetpost("remove", "ann@example.com") == "ann@example.com was not suppressed\n"
    assert not await messages(nats_bus)
    await jetpost("add", "ann@example.com", "--reason", "hard_bounce")
    await jetpost("add", "ann@example.com", "--list", "news", "--reason", "complaint")
    told = await jetpost("remove", "ann@example.com", "bob@example.com", "--list", "sale")
    assert told.splitlines() == [
        "ann@example.com was not suppressed for sale; gets no mail (hard bounce), no mail of news (complaint)",
        "bob@example.com was not suppressed for sale",
    ]
    told = await jetpost("remove", "ann@example.com")
    assert told == "ann@example.com is off the list for all; still gets no mail of news (complaint)\n"
    assert await jetpost("remove", "Ann@example.com", "--list", "news") == "Ann@example.com gets mail again of news\n"
    assert not await known(nats_bus, "news", "ann@example.com")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", "nobody"), "@"),
        (("add", "a@example.com", "--list", "My List"), "lower-case"),
        (("add", "a@example.com", "--expires", "2020-01-01"), "has passed"),
        (("add", "a@example.com", "--expires", "soon"), "no time: say 12h, 90d or 4w from now, or a date to come"),
        (("add", "a@example.com", "--expires", "30m"), "no time"),
        (("add", "a@example.com", "--expires", "99999d"), "too far away"),
        (("add", "a@example.com", "--reason", "boredom"), "there are manual, unsubscribe, complaint, hard_bounce"),
        (("import", "people.csv", "--reason", "esp_list"), "there are manual, unsubscribe, complaint, hard_bounce"),
        (("list", "--reason", "boredom"), "there are soft_bounce, esp_list, manual"),
        (("check", "feed"), "'feed' is not an address"),
        (("check", "plain:feed"), "'plain:feed' is no hash of an export"),
        (("import", "people.csv", "--column", "mail"), "--column"),
        (("import", "people.csv"), "--column"),
    ],
)
async def test_a_mistake_is_told_with_what_to_do(jetpost, tmp_path, nats_bus, arguments, says):
    (tmp_path / "people.csv").write_text("name\nAnn\n")
    with pytest.raises(AssertionError) as refused:
        await jetpost(*arguments)
    assert says in str(refused.value)
    assert not await messages(nats_bus)


async def test_an_import_takes_what_can_be_used_and_lists_the_rest_with_its_line(nats_bus, jetpost, tmp_path):
    (tmp_path / "people.csv").write_text(
        "Email,Reason,List,Added At,Expires At\n"
        "ann@example.com,Hard Bounce,,2027-01-15T08:00:00Z,\n"
        "bob@example.com,spam report,news,,\n"
        "nobody,,,,\n"
        "eve@example.com,boredom,,,\n"
        "joe@example.com,,No List,,\n"
        ",,,,\n"
        "sue@example.com,unsubscribed,,yesterday,\n"
        "too,few\n"
        "kim@example.com,,,,2099-01-01\n"
    )
    told = await jetpost("import", "people.csv", "--reason", "unsubscribe", code=1)
    assert "3 of 9 rows added" in told
    assert "6 rows could not be used" in told
    rejected = list(csv.DictReader((tmp_path / "people.csv.rejects.csv").read_text().splitlines()))
    assert [row["line"] for row in rejected] == ["4", "5", "6", "7", "8", "9"]
    assert "boredom" in rejected[1]["reason"]
    assert await known(nats_bus, "news", "ann@example.com", "bob@example.com", "kim@example.com") == {
        "ann@example.com": "hard_bounce",
        "bob@example.com": "complaint",
        "kim@example.com": "unsubscribe",
    }
    assert "until 2099" in await jetpost("check", "kim@example.com", code=1)


async def test_importing_again_stores_nothing_and_is_whole_after_a_removal(nats_bus, jetpost, tmp_path):
    (tmp_path / "people.csv").write_text("address\n" + "".join(f"p{n}@example.com\n" for n in range(2_500)))
    assert "2,500 of 2,500 rows added, 0 were" in await jetpost("import", "people.csv", "--reason", "unsubscribe")
    assert await messages(nats_bus) == 2
    assert "0 of 2,500 rows added, 2,500 were on the list already" in await jetpost("import", "people.csv")
    assert await messages(nats_bus) == 2
    await jetpost("remove", "p7@example.com")
    assert "1 of 2,500 rows added" in await jetpost("import", "people.csv", "--reason", "unsubscribe")
    assert await known(nats_bus, "", "p7@example.com") == {"p7@example.com": "unsubscribe"}


async def test_an_export_imported_elsewhere_gives_the_same_list(nats_bus, jetpost, tmp_path):
    await jetpost("add", "ann@example.com", "--reason", "complaint", "--source", "feedback, loop")
    await jetpost("add", "bob@example.com", "--list", "news", "--expires", "2099-01-01")
    exported = await jetpost("export")
    assert exported.splitlines()[0] == HEADER
    await jetpost("export", "--output", "all.csv")
    await jetpost("remove", "ann@example.com")
    await jetpost("remove", "bob@example.com", "--list", "news")
    assert await jetpost("export") == HEADER + "\n"
    await jetpost("import", "all.csv")
    assert await jetpost("export") == exported
    assert await jetpost("export", "--list", "news") == "\n".join([HEADER, exported.splitlines()[2]]) + "\n"


async def test_with_a_secret_neither_stream_nor_export_nor_list_has_an_address(nats_bus, jetpost, tmp_path):
    (tmp_path / "people.csv").write_text("address\nann@example.com\nbob@example.com\n")
    await jetpost("import", "people.csv", secret=SECRET)
    stored = b"".join([r.payload async for r in nats_bus.read(streams.SUPPRESSION.name, "suppression")])
    exported = await jetpost("export", secret=SECRET)
    listed = await jetpost("list", secret=SECRET)
    assert b"@" not in stored
    assert "@" not in exported + listed
    assert "gets no mail" in await jetpost("check", "ann@example.com", code=1, secret=SECRET)
    (tmp_path / "hashes.csv").write_text(exported)
    await jetpost("remove", "ann@example.com", "bob@example.com", secret=SECRET)
    assert "2 of 2 rows added" in await jetpost("import", "hashes.csv", secret=SECRET)
    assert len(await known(nats_bus, "", "ann@example.com", "bob@example.com", hashing=Hashing(SECRET))) == 2
    await jetpost("export", code=1)
    await jetpost("import", "hashes.csv", code=1)


async def test_entries_are_listed_and_counted(nats_bus, jetpost):
    assert "Nobody" in await jetpost("list")
    assert "Nobody" in await jetpost("stats")
    await jetpost("add", "ann@example.com", "bob@example.com", "--reason", "unsubscribe")
    await jetpost("add", "ann@example.com", "--list", "news")
    assert "--limit" in await jetpost("list", "--limit", "2")
    assert len((await jetpost("list")).splitlines()) == 3
    assert await jetpost("list", "--reason", "complaint") == "There is no such entry.\n"
    rows = [json.loads(line) for line in (await jetpost("list", "--reason", "manual", "--json")).splitlines()]
    assert [(row["address"], row["list"]) for row in rows] == [("ann@example.com", "news")]
    told = await jetpost("stats")
    assert "2  (all)  unsubscribe" in told
    assert "1  news   manual" in told


async def test_compacting_keeps_what_holds_and_makes_the_stream_short(nats_bus, jetpost):
    for number in range(6):
        await jetpost("add", f"p{number % 3}@example.com", "--reason", "unsubscribe")
    await jetpost("remove", "p2@example.com")
    before = await jetpost("export")
    assert "2 entries in 1 message, 7 before" in await jetpost("compact")
    assert sorted(await jetpost("export")) == sorted(before)
    state = await nats_bus.stream_state(streams.SUPPRESSION.name)
    assert (state.messages, state.first_sequence) == (1, 8)
    assert "2 entries in 1 message, 1 before" in await jetpost("compact")


async def test_the_commands_of_the_guide_do_what_it_says(nats_bus, jetpost, tmp_path):
    (tmp_path / "left.csv").write_text("Email Address\nbob@example.com\nnot an address\n")
    text = (Path(__file__).parents[3] / "docs" / "suppression.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line)[2:] for block in blocks for line in block.splitlines()]
    assert len(commands) > 8
    for command in commands:
        await jetpost(*command, code=1 if command[0] == "import" else 0)
    assert "bob@example.com" in (tmp_path / "suppressed.csv").read_text()
    assert await known(nats_bus, "news", "ann@example.com", "bob@example.com", "kim@example.com") == {
        "bob@example.com": "unsubscribe",
        "kim@example.com": "soft_bounce",
    }
