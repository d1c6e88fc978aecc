"""The command line, as far as it needs no server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from analytics.engagement import Engagement
from events import facts
from events.ledger import Ledger
from events.schemas import Campaign
from jetpost import cli
from jetpost.cli import campaigns, events
from jetpost.cli import settings as settings_command
from jetpost.display import COLOURS, duration, ledger_bar, size


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, code: int = 0, environment: dict[str, str] | None = None) -> str:
    result = CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "100", **(environment or {})})
    assert result.exit_code == code, result.output
    return result.output


def all_commands(group, path=()):
    for name, command in group.commands.items():
        yield (*path, name)
        if hasattr(command, "commands"):
            yield from all_commands(command, (*path, name))


@pytest.mark.parametrize("path", list(all_commands(typer.main.get_command(cli.app))), ids=" ".join)
def test_every_command_explains_itself_and_its_options(path):
    command = typer.main.get_command(cli.app)
    for name in path:
        command = command.commands[name]
    assert command.help
    assert [option.name for option in command.params if not option.help] == []
    assert "Usage: " in run(*path, "--help")


def test_the_version_is_told():
    assert run("--version").startswith("jetpost ")


def test_a_command_loads_only_what_it_needs():
    heavy = ["clickhouse_connect", "cryptography", "fastapi", "aiosmtplib", "pyarrow"]
    program = f"import sys, jetpost.cli; print([name for name in {heavy} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


def test_nothing_asked_is_answered_with_help():
    assert "jetpost demo" in run(code=2)


def test_shells_complete_commands():
    environment = {"_JETPOST_COMPLETE": "complete_bash", "COMP_WORDS": "jetpost pa", "COMP_CWORD": "1"}
    assert run(environment=environment).split() == ["pause"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_shells_can_be_shown(shell):
    assert "_JETPOST_COMPLETE" in run(environment={"_JETPOST_COMPLETE": f"source_{shell}"})


def test_config_tells_what_is_set_and_where():
    shown = run("config", environment={"JETPOST_WEB_PORT": "81", "JETPOST_NATS_PASSWORD": "hush"})
    assert [line.split() for line in shown.splitlines()] == [
        ["nats.password", "(set,", "not", "shown)", "environment"],
        ["web.port", "81", "environment"],
    ]


def test_config_is_json_with_values_of_their_types():
    document = json.loads(run("config", "--json", environment={"JETPOST_WEB_API_TOKEN": "hush"}))
    assert document["web.port"] == {"value": 8080, "origin": "default"}
    assert document["web.api_token"] == {"value": "(set, not shown)", "origin": "environment"}


def test_config_says_when_nothing_is_set():
    assert "jetpost config --all" in run("config")
    assert "log.level" in run("config", "--all")


def test_lines_of_config_stay_whole_however_long():
    rows = [("a", "x" * 300, "default"), ("long.key", "y", "environment")]
    assert settings_command._aligned(rows)[1].split() == ["long.key", "y", "environment"]


EXAMPLE = str(Path(__file__).parents[3] / "examples" / "newsletter" / "campaign.toml")
ASTRAY = {"JETPOST_NATS_URL": "nats://127.0.0.1:1"}


def failing(*arguments, monkeypatch, capsys, environment=None) -> str:
    """What `main` says on standard error; it must end with exit code 2 and without a traceback."""
    monkeypatch.setattr("sys.argv", ["jetpost", *arguments])
    for name, value in (environment or {}).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("config",), {"JETPOST_WEB_PROT": "1"}, "did you mean JETPOST_WEB_PORT?"),
        (("--config", "none.toml", "config"), {}, "none.toml: cannot be read"),
        (
            ("status",),
            {"JETPOST_NATS_URL": "nats://me:hush@127.0.0.1:1"},
            "cannot connect to NATS at nats://***@127.0.0.1:1",
        ),
        (("setup",), ASTRAY, "nats.url is set (environment): check that it is right"),
        (("up",), ASTRAY, "nats.url is set (environment): check that it is right"),
        (("send", EXAMPLE), {}, "there is nobody to send it: no `jetpost up` runs with the data_dir"),
        (("send", EXAMPLE), ASTRAY, "producer.link_secret must be set"),
        (("report", "x"), {"JETPOST_WEB_PORT": "1"}, "the web app does not answer at http://127.0.0.1:1"),
        (("events", "--type", "bouncd"), {}, "'bouncd' is no type of events; did you mean bounced?"),
        (("events", "--provider", "zz"), {}, "there are gmail, microsoft"),
        (("ingester", "run"), {}, "need a ClickHouse server"),
        (("web", "run"), {}, "need a ClickHouse server"),
    ],
)
def test_what_the_user_can_mend_is_one_clear_message(arguments, environment, said, monkeypatch, capsys):
    text = failing(*arguments, monkeypatch=monkeypatch, capsys=capsys, environment=environment)
    assert said in text
    assert "Traceback" not in text
    assert "hush" not in text


BOUNCED = facts.EmailBounced(
    campaign="c",
    at=0.0,
    mail_id="m",
    attempt=1,
    recipient="a[b]@example.com",
    pool="p",
    provider="other",
    failure_class="hard",
    code=550,
    enhanced="5.1.1",
    reply="[red]no\x1b[2J such user",
)


def test_an_event_is_a_line_that_shows_a_reply_and_does_not_obey_it():
    line = events.as_line(BOUNCED)
    assert "\\[red]no\\x1b" in line
    assert "\x1b" not in line


def test_an_event_as_json_has_every_field():
    assert json.loads(events._as_json(BOUNCED))["reply"] == "[red]no\x1b[2J such user"
    assert json.loads(events._as_json(BOUNCED))["type"] == "bounced"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (events._Wanted(set(), None, None, None), True),
        (events._Wanted({"bounced", "failed"}, "a[b]@example.com", "other", "hard"), True),
        (events._Wanted({"accepted"}, None, None, None), False),
        (events._Wanted(set(), "b@example.com", None, None), False),
        (events._Wanted(set(), None, "gmail", None), False),
        (events._Wanted(set(), None, None, "soft"), False),
    ],
)
def test_events_are_filtered(wanted, found):
    assert wanted.matches(BOUNCED) is found


def test_events_of_campaigns_have_no_recipient_to_filter_for():
    started = facts.CampaignStarted(campaign="c", at=0.0, name="Sale [red]", pool="p")
    assert not events._Wanted(set(), "a@example.com", None, None).matches(started)
    assert "name=Sale \\[red]" in events.as_line(started)


def test_a_campaign_that_was_never_counted_has_an_empty_ledger():
    assert campaigns._ledger({"figures": None}) == Ledger()


def campaign(**known) -> Campaign:
    return Campaign(id="c", name="C", status="running", pool="p", return_path="b@example.com", created_at=0.0, **known)


@pytest.mark.parametrize(
    ("ledger", "known", "told"),
    [
        (Ledger(), campaign(), "planning has just begun"),
        (Ledger(), campaign(planned=1_200), "planned 1,200:  counting has just begun"),
        (Ledger(planned=1_200, queued=1_200), campaign(planned=1_200), "planned 1,200:  [white]queued 1,200[/]"),
        (Ledger(), campaign(finished_at=1.0), "nobody was planned"),
    ],
)
def test_a_campaign_of_which_nothing_is_counted_yet_says_so(ledger, known, told):
    assert campaigns.counted(ledger, known) == told


NOTHING = dict.fromkeys(Engagement.__struct_fields__, 0) | {"links": []}


def test_what_readers_did_is_told_as_far_as_the_campaign_counts_it():
    off, on = {}, {"opens": True}  # what is off is left out
    assert campaigns._readers(NOTHING, on, 40) == []
    assert campaigns._readers(NOTHING | {"unsubscribed": 1}, off, 40)[1:] == [
        "unsubscribed 1 (2.5%), complained 0 (0.0%)"
    ]
    assert campaigns._readers(NOTHING | {"unsubscribed": 1}, on, 40)[1] == (
        "opened by 0 (0.0%): 0 opens, 0 of them by machines"
    )


def test_what_came_back_is_told_whoever_said_so():
    came_back = campaigns._readers(NOTHING | {"returned": 2, "returned_hard": 1}, {}, 40)
    assert came_back[-1] == ("came back after they were accepted: 2 (5.0%), 1 of them from addresses that do not work")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.85, "850 ms"), (4.21, "4.2 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (59.97, "60.0 s")],
)
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (950, "950 B"), (1_200_000, "1.2 MB"), (5e12, "5000.0 GB"), (999_999, "1000.0 kB")]
)
def test_sizes_for_people(count, text):
    assert size(count) == text


def test_a_ledgers_bar_has_its_width_and_a_cell_for_whatever_there_is():
    bar = ledger_bar(Ledger(planned=1_000_000, accepted=999_999, bounced=1), 40)
    assert len(bar.plain) == 40
    assert [span.style for span in bar.spans][:2] == ["green", "red"]


@settings(deadline=None)
@given(st.lists(st.integers(0, 10_000), min_size=9, max_size=9), st.integers(10, 80))
def test_a_bar_is_never_longer_or_shorter_than_asked(counts, width):
    ledger = Ledger(planned=sum(counts), **dict(zip(COLOURS, counts, strict=True)))
    bar = ledger_bar(ledger, width)
    assert len(bar.plain) == width
    assert len({span.style for span in bar.spans}) >= sum(count > 0 for count in counts)
