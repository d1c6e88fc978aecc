"""The canary and the limits of the circuit breaker, as a campaign file says them."""

from __future__ import annotations

from pathlib import Path

import pytest

from events.schemas import BreakerLimits, CanaryRule
from producer.campaign import safety
from producer.campaign.problems import Findings
from producer.campaign.safety import Safety
from producer.campaign.table import Table


def read(**keys: object) -> tuple[Safety, Findings]:
    findings = Findings(Path("campaign.toml"))
    return safety.read(Table(keys, findings)), findings


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        (False, None),
        (True, CanaryRule()),
        (0.01, CanaryRule(share=0.01)),
        (1, CanaryRule(share=1.0)),
        ({"minimum": 500, "wait": "1h30m"}, CanaryRule(minimum=500, wait_seconds=5_400.0)),
        ({"share": 0.02}, CanaryRule(share=0.02)),
    ],
)
def test_a_canary_is_yes_or_no_or_a_share_or_a_table(given: object, rule: CanaryRule | None) -> None:
    found, findings = read(canary=given)
    assert (found.canary, findings.problems) == (rule, [])


def test_without_keys_there_is_no_canary_and_the_breaker_is_as_set() -> None:
    assert read()[0] == Safety()


def test_a_campaign_may_have_limits_of_its_own() -> None:
    given = {"hard_bounces": 0.1, "blocks": 0.02, "complaints": 0.001, "minimum": 1_000}
    assert read(breaker=given)[0].breaker == BreakerLimits(True, 0.1, 0.02, 0.001, 1_000)


def test_turning_the_breaker_off_is_allowed_and_warned_of() -> None:
    found, findings = read(breaker=False)
    assert not found.breaker.enabled
    assert [warning.message for warning in findings.warnings] == [
        "Nothing stops it when it bounces, is blocked or complained about."
    ]


@pytest.mark.parametrize(
    ("keys", "fact"),
    [
        ({"canary": "yes"}, "'yes' cannot be used."),
        ({"canary": 1.5}, "1.5 is no share."),
        ({"canary": {"share": True}}, "True is no share."),
        ({"canary": {"minimum": 0}}, "0 is no number of mails."),
        ({"canary": {"wait": "soon"}}, "'soon' is no duration."),
        ({"canary": {"size": 5}}, "There is no such key."),
        ({"breaker": 0.1}, "0.1 cannot be used."),
        ({"breaker": {"blocks": 5}}, "5 is no share."),
        ({"breaker": {"bounces": 0.1}}, "There is no such key."),
    ],
)
def test_what_cannot_be_used_is_told_with_its_fix(keys: dict[str, object], fact: str) -> None:
    _, findings = read(**keys)
    [problem] = findings.problems
    assert problem.message == fact
    assert problem.fix
