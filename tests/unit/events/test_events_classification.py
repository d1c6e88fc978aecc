"""The reply table: what each kind of reply means, and above all what is not a hard bounce."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import classification, replies
from events.classification_rules import RULES
from events.replies import Reply


def verdict(text, provider="other"):
    return classification.classify(replies.parse(text), provider)


@pytest.mark.parametrize(
    "text",
    [
        "550 5.1.1 The email account that you tried to reach does not exist. - gsmtp",
        "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown in virtual mailbox table",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ada@example.org not found",
        "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
        "550 No such user here",
        "550 5.1.2 Host unknown",
        "550 5.1.6 recipient no longer on server",
        "556 5.1.10 Recipient domain has null MX",
    ],
)
def test_a_dead_address_is_hard_and_suppressed(text):
    assert verdict(text).failure_class == "hard"
    assert verdict(text).suppress


@pytest.mark.parametrize(
    ("text", "failure_class"),
    [
        ("550 5.1.1 Mailbox full", "soft"),
        ("552 5.2.2 user is over quota", "soft"),
        ("452 4.2.2 The inbox is out of storage space", "soft"),
        ("550 5.2.1 The account is disabled", "soft"),
        ("550 5.2.1 The user is receiving email at a rate that prevents delivery", "throttled"),
        ("550 5.7.1 This email has been rate limited.", "throttled"),
        ("421 4.7.28 An unusual rate of unsolicited mail", "throttled"),
        ("421 4.7.0 [TSS04] Messages temporarily deferred due to unexpected volume or user complaints", "throttled"),
        ("421 Too many connections", "throttled"),
        ("451 4.7.652 The mail server [192.0.2.1] has exceeded the maximum number of connections.", "throttled"),
        ("450 4.1.1 <ada@example.org>: user unknown, for now", "transient"),
        ("451 4.7.1 Greylisted, please try again in 300 seconds", "transient"),
        ("451 4.3.0 Error: queue file write error", "transient"),
        ("450", "transient"),
        ("550 5.7.1 Mail from IP 192.0.2.1 was rejected due to listing in Spamhaus SBL", "block"),
        ("550 5.7.26 This mail is unauthenticated", "block"),
        ("554 5.7.9 Message not accepted for policy reasons", "block"),
        ("550 5.1.8 Domain of sender address does not exist", "block"),
        ("550 5.7.1 Unable to relay for ada@example.org", "block"),
        ("535 5.7.8 Authentication credentials invalid", "block"),
        ("550 5.2.0 Mail rejete. Mail rejected. OFR_506 [506]", "block"),
        (
            "550 5.5.0 Service refuse. Veuillez essayer plus tard. Service refused, please try later. LPN005_510",
            "block",
        ),
        (
            "421 Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR_999 [999]",
            "throttled",
        ),
        (
            "421 Service refuse. Veuillez essayer plus tard. Service refused, please try later. OFR_505 [505]",
            "transient",
        ),
        ("552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417 [417]", "soft"),
        ("552 5.3.4 Message too large", "soft"),
        ("554 Transaction failed", "soft"),
        ("550", "soft"),
    ],
)
def test_what_is_not_a_dead_address_is_not_hard(text, failure_class):
    assert verdict(text).failure_class == failure_class
    assert not verdict(text).suppress


def test_words_that_only_one_provider_means_count_for_that_provider_only():
    text = "550 Requested action not taken: mailbox unavailable"
    assert verdict(text, "microsoft").failure_class == "hard"
    assert verdict(text, "other").failure_class == "soft"


def test_a_refused_sender_is_never_a_hard_bounce():
    reply = Reply(550, "5.1.1", "User unknown")
    assert classification.classify(reply, about_recipient=False).failure_class == "block"


def test_the_hint_of_a_temporary_refusal_is_passed_on():
    assert verdict("451 4.7.1 Greylisted, try again in 5 minutes").retry_after_seconds == 300
    assert verdict("550 5.1.1 User unknown, try again in 5 minutes").retry_after_seconds is None


def test_no_reply_at_all_is_transient():
    assert classification.classify(Reply(0, "", "timed out")).failure_class == "transient"


@given(st.integers(400, 499), st.sampled_from(["5.1.1", "4.1.1", ""]), st.text(max_size=60))
def test_nothing_temporary_is_hard(code, enhanced, text):
    assert classification.classify(Reply(code, enhanced, f"user unknown {text}")).failure_class != "hard"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.failure_class}-{rule.reason}")
def test_every_rule_says_where_it_comes_from(rule):
    assert rule.source
    assert rule.reason.replace("_", "").isalpha()


@pytest.mark.parametrize("name", ["starttls", "spam", "over.quota", "dmarc-reports", "policy", "mailbox.full"])
def test_what_somebody_is_called_says_nothing_of_why_their_mail_was_refused(name):
    reply = replies.parse(f"550 5.1.1 <{name}@example.org>: Recipient address rejected: User unknown")
    assert classification.classify(reply).failure_class == "hard"
