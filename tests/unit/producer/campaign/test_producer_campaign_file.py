from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.providers import PROVIDERS
from events.schemas import Tracking
from producer.campaign.compiled import Mailbox, Unsubscribe
from producer.campaign.file import KEYS, CampaignFile, Context, default_id, load
from producer.campaign.problems import Problem

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
GOOD = {
    "name": '"Spring sale"',
    "from": '"Ann Example <ann@example.com>"',
    "subject": '"Hello"',
    "html": '"mail.html"',
    "audience": '"audience.csv"',
}


@pytest.fixture
def write(tmp_path):
    def write_campaign(extra: str = "", **keys: str | None) -> Path:
        path = tmp_path / "campaign.toml"
        lines = [f"{key} = {value}" for key, value in {**GOOD, **keys}.items() if value is not None]
        path.write_text("\n".join(lines) + f"\n{extra}\n")
        return path

    return write_campaign


def good(path: Path, pools: list[str] | None = None) -> CampaignFile:
    campaign, findings = load(path, Context(NOW, pools))
    assert findings.problems == []
    assert campaign is not None
    return campaign


def problems(path: Path, pools: list[str] | None = None) -> list[Problem]:
    campaign, findings = load(path, Context(NOW, pools))
    assert campaign is None
    return findings.problems


def test_what_is_left_out_has_sensible_values(write) -> None:
    campaign = good(write(), ["relay"])
    assert campaign.id == "spring-sale-2027-01-15"
    assert campaign.from_ == Mailbox("ann@example.com", "Ann Example")
    assert campaign.return_path == "ann@example.com"
    assert (campaign.pool, campaign.policy, campaign.timing.deadline) == ("relay", "at_most_once", None)
    assert campaign.unsubscribe == Unsubscribe(link=True)
    assert campaign.feedback_id == ("spring-sale-2027-01-15", "relay", "campaign", "example")


def test_all_problems_are_told_at_once_in_their_lines(write) -> None:
    found = problems(write("polici = 'x'", html=None, audience="3", policy='"twice"', **{"from": '"nobody"'}))
    assert [(problem.line, problem.key) for problem in found] == [
        (6, "polici"),
        (None, "html"),
        (2, "from"),
        (4, "audience"),
        (5, "policy"),
    ]


def test_a_problem_reads_like_a_compiler_error(write) -> None:
    (found,) = problems(write("polici = 'at_most_once'"))
    assert str(found).endswith('campaign.toml:6: polici: There is no such key. Did you mean "policy"?')


@pytest.mark.parametrize(
    ("keys", "key", "says"),
    [
        ({"name": "1"}, "name", "It is a number. Make it a text."),
        ({"name": '" "'}, "name", "It is empty"),
        ({"id": '"Spring Sale"'}, "id", '"spring-sale"'),
        ({"from": '"Ann <ann@@x.de>"'}, "from", 'Write it as "Ann Example'),
        ({"from": r'"Ann\r\nBcc: x@y.de <ann@x.de>"'}, "from", "line break"),
        ({"subject": r'"Hello\nBcc: x@y.de"'}, "subject", "line break"),
        ({"reply_to": '["a@x.de", "b"]'}, "reply_to", "cannot be used"),
        ({"return_path": '"Ann <ann@x.de>"'}, "return_path", "without a name"),
        ({"pool": '"rely"'}, "pool", 'Did you mean "relay"?'),
        ({"pool": '"x"'}, "pool", "It is one of: marketing, relay."),
        ({"pool": '"a.b"'}, "pool", "lower-case letters"),
        ({"pool": "[]"}, "pool", "It is empty. Name at least one pool"),
        ({"pool": "3"}, "pool", 'Write the name of a pool, or several: ["main", "backup"].'),
        ({"pool": '["relay", "rely"]'}, "pool", 'Did you mean "relay"?'),
        ({"pool": '["relay", "relay"]'}, "pool", "stands in it twice"),
        ({"routes": '{ gmial = "relay" }'}, "routes.gmial", 'Did you mean "gmail"?'),
        ({"routes": '{ gmail = "rely" }'}, "routes.gmail", 'Did you mean "relay"?'),
        ({"routes": '{ gmail = ["relay", 3] }'}, "routes.gmail", "It is a number."),
        ({"policy": '"at_most_ones"'}, "policy", 'Did you mean "at_most_once"?'),
        ({"deadline": '"soon"'}, "deadline", '"6h"'),
        ({"deadline": "2027-03-01T18:00:00"}, "deadline", "offset"),
        ({"deadline": "2027-01-15T07:59:59Z"}, "deadline", "has passed"),
        ({"deadline": "2027-03-01"}, "deadline", "offset"),
        ({"feedback_id": '"a:b:c:d:e"'}, "feedback_id", "sender id of 5 to 15"),
        ({"list_unsubscribe": '"nobody"'}, "list_unsubscribe", "bounces@example.com"),
        ({"list_unsubscribe": "{ lnk = true }"}, "list_unsubscribe.lnk", 'Did you mean "link"?'),
        ({"list_unsubscribe": "3"}, "list_unsubscribe", "Make it a table."),
        ({"audience": "{ file = 'a.csv' }"}, "audience.path", "It is missing."),
        ({"audience": "{ path = 'a.xlsx' }"}, "audience.path", "csv, ndjson, parquet"),
        ({"audience": "{ path = 'a.csv', format = 'cvs' }"}, "audience.format", 'Did you mean "csv"?'),
        ({"audience": "{ path = 'a.csv', encoding = 'klingon' }"}, "audience.encoding", "windows-1252"),
        ({"audience": "{ path = 'a.csv', encoding = 'base64' }"}, "audience.encoding", "windows-1252"),
        ({"audience": "{ path = 'a.ndjson', encoding = 'utf-16' }"}, "audience.encoding", "UTF-8 by definition"),
        (
            {"audience": "{ path = 'a.csv', columns = { 'first name' = 'x' } }"},
            "audience.columns.first name",
            "underscores",
        ),
        ({"headers": "{ Subject = 'x' }"}, "headers.Subject", "Jetpost writes this header itself."),
        ({"headers": "{ Content-Type = 'x' }"}, "headers.Content-Type", "Jetpost writes"),
        ({"headers": "{ DKIM-Signature = 'x' }"}, "headers.DKIM-Signature", "on the way"),
        ({"headers": "{ 'X Y' = 'x' }"}, "headers.X Y", "letters, digits and hyphens"),
        ({"headers": r"""{ X = "a\rb" }"""}, "headers.X", "line break"),
        ({"headers": "{ X = 1 }"}, "headers.X", "Make it a text."),
        ({"defaults": "{ tags = [1] }"}, "defaults.tags", "quotes"),
        ({"sample": "{ name = 'Ann' }"}, "sample.email", "It is missing."),
        ({"sample": "'nobody'"}, "sample.email", "cannot be used"),
    ],
)
def test_every_mistake_is_named_with_its_fix(write, keys: dict[str, str], key: str, says: str) -> None:
    found = {problem.key: problem for problem in problems(write(**keys), ["relay", "marketing"])}
    assert says in str(found[key])
    assert found[key].line is not None


def test_wrong_toml_is_told_with_its_line(write) -> None:
    (found,) = problems(write("key = = 1"))
    assert found.line == 6
    assert "not valid TOML" in found.message


def test_a_file_that_is_not_there_is_one_problem(tmp_path) -> None:
    (found,) = problems(tmp_path / "campaign.toml")
    assert "No such file" in found.message


def test_routes_name_the_pools_of_each_provider_the_preferred_first(write) -> None:
    campaign = good(write(pool='"relay"', routes='{ gmail = ["marketing", "relay"], other = "marketing" }'))
    assert campaign.pool == "relay"
    assert campaign.routes == {"gmail": ("marketing", "relay"), "other": ("marketing",)}


def test_several_pools_are_the_route_of_every_provider_without_one_of_its_own(write) -> None:
    campaign = good(write(pool='["relay", "marketing"]', routes='{ gmail = "marketing" }'))
    assert campaign.pool == "relay"
    assert campaign.routes == {
        provider: ("marketing",) if provider == "gmail" else ("relay", "marketing") for provider in PROVIDERS
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("true", Unsubscribe(True)),
        ("false", Unsubscribe(False)),
        ('"mailto:Leave@Example.com"', Unsubscribe(True, "Leave@example.com")),
        ('{ link = false, mailto = "leave@example.com" }', Unsubscribe(False, "leave@example.com")),
    ],
)
def test_list_unsubscribe_takes_several_forms(write, value: str, expected: Unsubscribe) -> None:
    assert good(write(list_unsubscribe=value)).unsubscribe == expected


def test_a_campaign_may_be_for_the_subscribers_of_a_list(write) -> None:
    assert good(write()).list == ""
    assert good(write(list='"weekly-news"')).list == "weekly-news"


def test_leaving_out_list_unsubscribe_on_purpose_is_warned_of(write) -> None:
    _, findings = load(write(list_unsubscribe="false"), Context(NOW))
    assert "Gmail" in str(findings.warnings[0])


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs" / "campaign-file.md").read_text()
    assert [key for key in KEYS if f"`{key}`" not in page and f"`[{key}]`" not in page] == []


def test_a_list_that_cannot_be_named_so_is_told_with_a_name_that_can(write) -> None:
    [problem] = problems(write(list='"Weekly News"'))
    assert (problem.key, problem.line) == ("list", 6)
    assert '"weekly-news"' in problem.fix


@pytest.mark.parametrize("name", ["Spring sale", "É", "日本", "x" * 300, "-", "A/B: 50 %"])
def test_every_name_gives_a_usable_id(name: str) -> None:
    from events import ids  # noqa: PLC0415

    assert ids.is_campaign_id(default_id(name, NOW))


ODD = [
    "1",
    "1.5",
    "true",
    '""',
    '"x"',
    '"a@b.de"',
    "[]",
    "[1]",
    '["x", {}]',
    "{}",
    "{ x = { y = 1 } }",
    "{ path = 1, email = [] }",
]
ODD += ["2027-01-01", "07:30:00", "nan", r'"\u0000"', '"ünï <ü@ü.de>"', "{ '' = '' }", '{ "a b" = "c", columns = "x" }']


@given(st.dictionaries(st.sampled_from(KEYS), st.sampled_from(ODD), max_size=6))
def test_no_value_of_any_key_raises(tmp_path_factory, odd: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("odd") / "campaign.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in {**GOOD, **odd}.items()))
    campaign, findings = load(path, Context(NOW, ["relay"]))
    assert (campaign is None) == bool(findings.problems)
    assert all(problem.line is not None for problem in findings.problems)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (None, Tracking()),
        ("false", Tracking()),
        ("true", Tracking(opens=True, clicks=True)),
        ("{ opens = true }", Tracking(opens=True)),
        ("{ opens = false, clicks = true }", Tracking(clicks=True)),
    ],
)
def test_nothing_is_tracked_that_the_file_does_not_ask_for(write, written: str | None, read: Tracking) -> None:
    assert good(write(tracking=written)).tracking == read


@pytest.mark.parametrize(
    ("written", "key"),
    [('"opens"', "tracking"), ('{ opens = "yes" }', "tracking.opens"), ("{ click = true }", "tracking.click")],
)
def test_what_is_to_be_tracked_is_said_with_true_and_false(write, written: str, key: str) -> None:
    assert [problem.key for problem in problems(write(tracking=written))] == [key]


def test_a_campaign_without_a_pool_goes_through_the_only_one_or_the_default_and_else_says_which_to_choose(
    write,
) -> None:
    assert good(write(pool=None), ["main"]).pool == "main"
    assert good(write(pool=None), ["main", "default"]).pool == "default"
    (problem,) = problems(write(pool=None), ["main", "backup"])
    assert problem.key == "pool"
    assert "nobody would send" in problem.message
    assert problem.fix == "Name one of the pools: backup, main."
