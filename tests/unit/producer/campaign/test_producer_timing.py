"""When a campaign may be sent, and before whom, as its file says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer.campaign import timing
from producer.campaign.problems import Findings
from producer.campaign.table import Table
from producer.campaign.timing import Timing, moment_of

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
HOUR = 3_600.0


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def read(instead: float | None = None, /, **keys: object) -> tuple[Timing, Findings]:
    findings = Findings(Path("campaign.toml"))
    return timing.read(Table(keys, findings), NOW, instead), findings


def good(instead: float | None = None, /, **keys: object) -> Timing:
    found, findings = read(instead, **keys)
    assert findings.problems == []
    return found


def test_without_keys_a_campaign_starts_at_once_like_any_other() -> None:
    assert good() == Timing()


@pytest.mark.parametrize("key", ["deadline", "start"])
@pytest.mark.parametrize(
    ("given", "moment"),
    [
        ("6h", NOW + 6 * HOUR),
        ("1d12h", NOW + 36 * HOUR),
        ("90s", NOW + 90),
        (at("2027-01-15T10:00:00+01:00"), NOW + HOUR),
    ],
)
def test_deadline_and_start_are_a_moment_or_a_duration(key: str, given: object, moment: float) -> None:
    found = good(**{key: given})
    assert (found.deadline if key == "deadline" else found.starts_at) == moment


@pytest.mark.parametrize(
    ("keys", "key", "says"),
    [
        ({"start": "tomorrow"}, "start", "tomorrow is not a moment."),
        ({"start": at("2027-03-01T09:00:00")}, "start", "is not a moment."),
        ({"start": at("2027-01-15T07:59:59+00:00")}, "start", "2027-01-15 07:59:59 UTC has passed."),
        ({"deadline": "6h", "start": "7h"}, "deadline", "every mail would expire unsent"),
        ({"deadline": "7h", "start": "7h"}, "deadline", "every mail would expire unsent"),
        ({"past_due": "drop"}, "past_due", "'drop' is not known."),
        ({"past_due_after": "soon"}, "past_due_after", "'soon' is no duration."),
        ({"priority": "high"}, "priority", "'high' is not known."),
        ({"rate": 0}, "rate", "0 cannot be a rate."),
        ({"rate": True}, "rate", "True cannot be a rate."),
        ({"rate": "50"}, "rate", "'50' cannot be a rate."),
        ({"rate": "50/y"}, "rate", "'50/y' cannot be a rate."),
        ({"rate": float("nan")}, "rate", "nan cannot be a rate."),
        ({"weight": 0}, "weight", "0 cannot be a weight."),
        ({"weight": True}, "weight", "True cannot be a weight."),
        ({"weight": 1.5}, "weight", "1.5 cannot be a weight."),
        ({"weight": 1_001}, "weight", "1001 cannot be a weight."),
    ],
)
def test_what_cannot_be_is_told_with_its_key(keys: dict[str, object], key: str, says: str) -> None:
    _, findings = read(**keys)
    (problem,) = findings.problems
    assert problem.key == key
    assert says in problem.message
    assert problem.fix


def test_priority_weight_and_what_becomes_of_a_missed_start() -> None:
    found = good(priority="urgent", weight=5, past_due="send", past_due_after="30m")
    assert found == Timing(priority="urgent", weight=5, past_due="send", grace_seconds=1_800)


def test_a_start_from_the_command_line_stands_in_place_of_the_files() -> None:
    assert good(NOW + 60, start=at("2020-01-01T00:00:00+00:00")).starts_at == NOW + 60
    assert good(NOW, start="3h").starts_at is None
    _, findings = read(NOW + 7 * HOUR, deadline="6h")
    assert [problem.key for problem in findings.problems] == ["deadline"]


def test_a_start_beyond_what_events_keeps_is_a_warning() -> None:
    found, findings = read(start="31d")
    assert found.starts_at == NOW + 31 * 24 * HOUR
    assert [(one.key, findings.problems) for one in findings.warnings] == [("start", [])]


def test_a_moment_on_the_command_line_is_now_a_duration_or_has_its_offset() -> None:
    assert moment_of("now", NOW) == NOW
    assert moment_of("2h", NOW) == NOW + 2 * HOUR
    assert moment_of("2027-01-15T10:00:00+01:00", NOW) == NOW + HOUR
    assert moment_of("2027-01-15T09:00Z", NOW) == NOW + HOUR


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("soon", "is no moment"),
        ("2027-03-28T02:30", "in which zone"),
        ("2027-03-28", "a day without a time.*2027-03-28T09:00"),
        ("-2h", "is no moment"),
    ],
)
def test_a_moment_that_is_none_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        moment_of(text, NOW)


@given(
    st.datetimes(datetime(2027, 1, 16), datetime(2037, 1, 1)),  # noqa: DTZ001 - gets its offset below
    st.integers(-14 * 60, 14 * 60),
)
def test_the_same_moment_is_the_same_in_every_offset(utc: datetime, minutes: int) -> None:
    moment = utc.replace(tzinfo=UTC)
    local = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert good(start=local).starts_at == moment_of(local.isoformat(), NOW) == moment.timestamp()


def test_the_hour_that_comes_twice_is_two_moments() -> None:
    """2027-10-31 02:30 in Berlin, before and after the clocks go back."""
    assert moment_of("2027-10-31T02:30:00+01:00", NOW) - moment_of("2027-10-31T02:30:00+02:00", NOW) == HOUR


@pytest.mark.parametrize(
    ("said", "rate"), [(50, 50.0), (0.5, 0.5), ("50/s", 50.0), ("3000/m", 50.0), ("1800 / h", 0.5), ("43200/d", 0.5)]
)
def test_a_rate_is_mails_per_second_or_per_something_else(said: float | str, rate: float) -> None:
    assert good(rate=said) == Timing(rate=rate)
