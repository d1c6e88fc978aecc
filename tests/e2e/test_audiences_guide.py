"""The guide to audiences, done: its tables are made, its campaign is checked, and every segment of it is asked for."""

import re
from pathlib import Path

import jetpost_command
import pytest

GUIDE = (Path(__file__).parents[2] / "docs" / "audiences.md").read_text("utf-8")
ROWS = """
INSERT INTO customers SELECT n, (ARRAY['ann', 'bob', 'cem', 'dee'])[n] || '@example.com', (ARRAY['Ann', 'Bob', 'Cem', 'Dee'])[n],
    'de', (ARRAY['DE', 'AT', 'DE', 'FR'])[n], n < 4, now() - n * interval '80 days', '{"topics": ["gardening"]}'
FROM generate_series(1, 4) AS n;
INSERT INTO orders SELECT n, n, 249.90 - n + 1, now() - interval '1 hour' FROM generate_series(1, 4) AS n
"""


def example(name: str) -> str:
    """The code block behind a comment of this name."""
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```\w*\n(.*?)```", GUIDE, re.DOTALL)
    assert found, name
    return found[1]


def segments() -> dict[str, str]:
    """Who, and the condition."""
    rows = GUIDE.partition("<!-- example: segments -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    return {who.strip(): condition.strip().strip("`") for _, who, condition, _ in (row.split("|") for row in rows)}


@pytest.fixture
def jetpost(postgres, tmp_path):
    """Runs a command in a folder with the guide's campaign and a database with the guide's tables."""
    postgres.execute(
        "DROP TABLE IF EXISTS customers, orders",
        *filter(str.strip, example("schema").split(";")),
        *filter(str.strip, ROWS.split(";")),
    )
    (tmp_path / "campaign.toml").write_text(example("campaign.toml"))
    (tmp_path / "mail.html").write_text("<p>Hello {{ first_name }}</p>")

    url = f"{postgres.url}&options=-c%20enable_hashagg%3Doff"  # rows come to hand in order

    async def run(*arguments: str) -> jetpost_command.Ended:
        return await jetpost_command.run(
            tmp_path,
            *arguments,
            JETPOST_PRODUCER_DATABASES_CRM_URL=url,
            JETPOST_PRODUCER_DATABASES_CRM_PASSWORD="x",
        )

    return run


async def test_the_campaign_of_the_guide_is_checked_as_it_says(jetpost):
    command, _, expected = example("output").partition("\n")
    ended = await jetpost(*command.removeprefix("$ jetpost ").split())
    assert ended.code == 0, ended.errors
    on_a_day = re.compile(r"\d{4}-\d\d-\d\d")
    assert on_a_day.sub("DAY", ended.output) == on_a_day.sub("DAY", expected)
    assert "Subject: Ann, it is back" in (await jetpost("preview", "campaign.toml")).output


async def test_a_mistake_is_told_as_the_guide_says(jetpost, tmp_path):
    (tmp_path / "campaign.toml").write_text(example("campaign.toml").replace("c.email", "c.mail", 1))
    ended = await jetpost("check", "campaign.toml")
    assert ended.code == 1
    assert ended.errors.splitlines()[0] == example("mistake").strip()


def test_there_are_segments():
    assert len(segments()) >= 7


async def test_every_segment_of_the_guide_is_one(jetpost, tmp_path):
    campaign = example("campaign.toml").partition("[audience]")[0]
    for who, condition in segments().items():
        keys = f'database = "crm"\ntable = "customers"\nsegment = """{condition}"""\n'
        (tmp_path / "campaign.toml").write_text(f"{campaign}[audience]\n{keys}")
        ended = await jetpost("check", "campaign.toml")
        assert "PostgreSQL says" not in ended.errors, (who, ended.errors)
        assert ended.code == 0 or "Nobody in its first 0 rows can be mailed" in ended.errors, (who, ended.errors)
