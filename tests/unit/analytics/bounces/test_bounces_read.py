"""Notices as servers write them, each with what it must be read as. The people in them are ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.bounces import parsing
from analytics.bounces.base import Notice, Report
from analytics.bounces.read import read

RETURN_PATH = "bounces+m1@news.example.com"
ORIGINAL = "Message-ID: <m1.autumn@news.example.com>\nTo: ann@example.org\nSubject: Hello\n"


def standard(
    status: str, words: str = "This is the mail system.", original: str = ORIGINAL, kind: str = "delivery-status"
) -> bytes:
    return f"""Return-Path: <>
To: {RETURN_PATH}
From: Mail Delivery System <MAILER-DAEMON@mx.example.net>
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="x"

--x
Content-Type: text/plain

{words}

--x
Content-Type: message/{kind}

Reporting-MTA: dns; mx.example.net

{status}
--x
Content-Type: text/rfc822-headers

{original}
--x--
""".encode()


def group(
    recipient: str = "rfc822; ann@example.org", action: str = "failed", status: str = "5.1.1", diagnostic: str = ""
) -> str:
    lines = [f"Final-Recipient: {recipient}", f"Action: {action}", f"Status: {status}"]
    return "\n".join([*lines, f"Diagnostic-Code: {diagnostic}"] if diagnostic else lines) + "\n"


def only(raw: bytes) -> Notice:
    report = read(raw)
    assert len(report.notices) == 1, report
    return report.notices[0]


def test_a_bounce_says_who_why_and_of_which_mail():
    report = read(
        standard(group(diagnostic="smtp; 550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown"))
    )
    assert report.kind == "bounce"
    assert report.sent_to == (RETURN_PATH,)
    assert (report.returned.message_id, report.returned.recipient) == ("m1.autumn@news.example.com", "ann@example.org")
    [notice] = report.notices
    assert (notice.recipient, notice.action, notice.code, notice.status) == ("ann@example.org", "failed", 550, "5.1.1")
    assert (notice.failure_class, notice.reason, notice.hard) == ("hard", "unknown_recipient", True)


def test_where_it_was_sent_to_is_told_by_every_server_on_the_way():
    forwarded = b"Delivered-To: central@example.net\nDelivered-To: bounces+m2@news.example.com\n"
    assert read(forwarded + b"Envelope-To: <bounces+m3@b.example>\n" + standard(group())).sent_to == (
        "central@example.net",
        "bounces+m2@news.example.com",
        "bounces+m3@b.example",
        RETURN_PATH,
    )


@pytest.mark.parametrize(
    ("status", "diagnostic", "failure_class", "hard"),
    [
        ("5.2.2", "smtp; 552 5.2.2 Mailbox full", "soft", False),
        ("5.7.1", "smtp; 550 5.7.1 Message rejected as spam", "block", False),
        ("5.0.0", "smtp; 550 User unknown", "hard", True),
        ("5.1.6", "smtp; 551 not our customer", "hard", True),
        ("5.4.4", "X-Postfix; Host or domain name not found: no such domain", "hard", True),
        ("4.4.7", "smtp; 554 4.4.7 Message expired", "transient", False),
        ("4.4.1", "X-Postfix; connect to mx.example.org[192.0.2.1]:25: Connection timed out", "transient", False),
        ("5.1.1", 'x-unix; procmail: Couldn\'t create "/var/mail/ann": No such user', "transient", False),
        ("5.5.0", "smtp; 550 Requested action not taken: mailbox unavailable", "soft", False),
    ],
)
def test_the_words_decide_before_the_status(status, diagnostic, failure_class, hard):
    notice = only(standard(group(status=status, diagnostic=diagnostic)))
    assert (notice.failure_class, notice.hard) == (failure_class, hard)


def test_who_gave_the_reply_is_told_from_the_server_where_the_address_does_not_tell():
    diagnostic = "smtp; 550 Requested action not taken: mailbox unavailable"
    hosted = group(status="5.5.0", diagnostic=diagnostic) + "Remote-MTA: dns; acme-com.mail.protection.outlook.com\n"
    assert only(standard(hosted)).hard


def test_a_mailbox_that_refuses_the_message_is_there():
    words = "<ann@example.org>: host mx said: 550 Unknown user (in reply to end of DATA command)"
    notice = only(standard(group(status="5.0.0", diagnostic="smtp; 550 Unknown user"), words))
    assert (notice.failure_class, notice.reason, notice.hard) == ("soft", "filtered", False)


def test_a_refusal_in_a_pipeline_is_about_the_recipient_although_the_transcript_shows_it_behind_data():
    words = ">>> DATA\n<<< 550 Unknown user ann@example.org\n<<< 503 5.0.0 Need RCPT (recipient)"
    assert only(standard(group(status="5.0.0", diagnostic="smtp; 550 Unknown user"), words)).hard


def test_what_is_delayed_is_never_a_hard_bounce():
    notice = only(standard(group(action="delayed", status="4.4.1", diagnostic="smtp; 550 5.1.1 User unknown")))
    assert (notice.action, notice.failure_class, notice.hard) == ("delayed", "transient", False)


def test_opensmtpd_says_delayed_of_a_mail_that_it_gave_up():
    words = "A message is delayed for more than {} for the following\nlist of recipients:\n\nann@example.org: {}\n"
    notice = only(standard(group(action="delayed", status="4.4.7"), words.format("0 seconds", "Envelope expired")))
    assert (notice.action, notice.failure_class, notice.hard) == ("failed", "transient", False)
    notice = only(standard(group(action="delayed", status="4.0.0"), words.format("4 hours", "451 4.3.0 Local error")))
    assert (notice.action, notice.failure_class) == ("delayed", "transient")


def test_the_code_of_the_reply_says_more_than_a_status_made_up_from_its_first_digit():
    notice = only(standard(group(status="5.0.0", diagnostic="smtp; 552 5.2.2 Mailbox is full")))
    assert (notice.status, notice.failure_class) == ("5.2.2", "soft")
    assert only(standard(group(status="5.0.0", diagnostic="smtp; 550 no such user"))).status == "5.0.0"


@pytest.mark.parametrize("action", ["delivered", "relayed", "expanded"])
def test_what_arrived_is_no_bounce(action):
    report = read(standard(group(action=action, status="2.0.0")))
    assert report.kind == "delivered"
    assert not report.notices[0].hard


def test_several_recipients_each_for_itself_also_without_the_empty_line_between():
    groups = (
        group("rfc822;ann@example.org", diagnostic="smtp; 550 5.1.1 User unknown"),
        group("rfc822;bob@example.org", "Failed (final)", "5.2.2", "smtp; 552 5.2.2 Mailbox full"),
    )
    for between in ("\n", ""):
        report = read(standard(between.join(groups)))
        assert [(notice.recipient, notice.hard) for notice in report.notices] == [
            ("ann@example.org", True),
            ("bob@example.org", False),
        ]


def test_a_forwarded_mail_tells_both_addresses():
    notice = only(standard("Original-Recipient: rfc822;ann@example.org\n" + group("rfc822;ann@elsewhere.example")))
    assert (notice.original, notice.recipient) == ("ann@example.org", "ann@elsewhere.example")


def test_addresses_in_other_scripts():
    status = group("utf-8; \\x{5F20}\\x{4E09}@example.org")
    assert only(standard(status, kind="global-delivery-status")).recipient == "张三@example.org"


@pytest.mark.parametrize("written", ['"an..n"@example.org', '<"an..n"@example.org>', '"<"an..n"@example.org>"'])
def test_a_quoted_local_part_keeps_its_quotes(written):
    assert only(standard(group(f"rfc822; {written}"))).recipient == '"an..n"@example.org'
    assert only(standard(group(f"rfc822; {written}".replace('"an..n"', "ann")))).recipient == "ann@example.org"


def test_the_comment_of_a_status_tells_why_where_nothing_else_does():
    notice = only(standard(group(status="5.4.4 (Illegal host/domain name found)")))
    assert (notice.status, notice.failure_class, notice.reason) == ("5.4.4", "hard", "unknown_domain")


def test_fields_of_the_mail_are_no_reason_however_far_they_are_indented():
    words = """This report relates to a message you sent:

  Message-id: <1@news.example.com>
  From: Sender <bounces@news.example.com>
  To: ann@example.org
  Subject: Unknown user? Read this

Your message cannot be delivered to:

  Recipient address: ann@example.org
  Reason: 552 mailbox full
"""
    assert only(standard(group(status="5.0.0"), words)).failure_class == "soft"


def test_carriage_returns_alone_end_lines_too():
    assert only(standard(group()).replace(b"\n", b"\r")).recipient == "ann@example.org"
    assert only(standard(group()).replace(b"\n", b"\r\n")).recipient == "ann@example.org"


def test_parts_in_disorder_are_read_all_the_same():
    assert only(standard(group()).replace(b"\n--x", b"\n--y")).recipient == "ann@example.org"


EXIM = f"""Return-Path: <>
X-Failed-Recipients: ann@example.org
Auto-Submitted: auto-replied
From: Mail Delivery System <Mailer-Daemon@mx.example.net>
To: {RETURN_PATH}
Subject: Mail delivery failed: returning message to sender

This message was created automatically by mail delivery software.

  ann@example.org
    host mx.example.org [192.0.2.1]
    SMTP error from remote mail server after RCPT TO:<ann@example.org>:
    550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown

------ This is a copy of the message, including all the headers. ------

{ORIGINAL}
Hello Ann
"""
QMAIL = f"""Return-Path: <>
From: MAILER-DAEMON@mx.example.net
To: {RETURN_PATH}
Subject: failure notice

Hi. This is the qmail-send program at mx.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@example.org>:
192.0.2.1 does not like recipient.
Remote host said: 552 5.2.2 Mailbox full
Giving up on 192.0.2.1.

--- Below this line is a copy of the message.

{ORIGINAL}
"""
DELAYED = QMAIL.replace(
    "This is a permanent error; I've given up. Sorry it didn't work out.", "It is delayed; I will try again."
).replace("Giving up on 192.0.2.1.", "")


APART = """From: postmaster@mx.example.net
To: bounces@news.example.com
Subject: Undeliverable: Hello

Error message below:
550 - Requested action not taken: no such user here

Message details:
  Subject: Hello
  MAIL FROM: bounces@news.example.com
  RCPT TO: ann@example.org
  Size (in bytes): 250
"""


@pytest.mark.parametrize(
    ("text", "action", "failure_class"),
    [(EXIM, "failed", "hard"), (QMAIL, "failed", "soft"), (DELAYED, "delayed", "transient")],
)
def test_notices_that_follow_no_standard(text, action, failure_class):
    report = read(text.encode())
    assert report.kind == "bounce"
    assert [(notice.recipient, notice.action, notice.failure_class) for notice in report.notices] == [
        ("ann@example.org", action, failure_class)
    ]
    assert report.returned.message_id == "m1.autumn@news.example.com"


def test_a_reason_that_stands_apart_is_of_the_only_one():
    notice = only(APART.encode())
    assert (notice.recipient, notice.code, notice.failure_class) == ("ann@example.org", 550, "hard")


def test_and_nobodys_where_there_are_several():
    raw = APART.replace("To: bounces", "X-Failed-Recipients: ann@example.org, bob@example.org\nTo: bounces").encode()
    assert [(one.recipient, one.hard) for one in read(raw).notices] == [
        ("ann@example.org", False),
        ("bob@example.org", False),
    ]


def feedback(kind: str, extra: str = "") -> bytes:
    return f"""From: <fbl@provider.example>
To: {RETURN_PATH}
Subject: FW: Hello
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="x"

--x
Content-Type: text/plain

This is an abuse report.

--x
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Provider/1.0
Version: 1
{extra}
--x
Content-Type: message/rfc822

{ORIGINAL}List-Unsubscribe: <https://news.example.com/u/token>

Hello Ann
--x--
""".encode()


@pytest.mark.parametrize("kind", ["abuse", "not-spam", "auth-failure", "opt-out", "fraud"])
def test_a_report_tells_its_type_and_the_mail(kind):
    report = read(feedback(kind))
    assert (report.kind, report.feedback_type) == ("complaint", kind)
    assert report.returned.message_id == "m1.autumn@news.example.com"
    assert report.returned.headers["list-unsubscribe"] == "<https://news.example.com/u/token>"
    assert [notice.recipient for notice in report.notices] == ["ann@example.org"]


def test_a_report_may_name_several():
    report = read(feedback("abuse", "Original-Rcpt-To: <ann@example.org>\nOriginal-Rcpt-To: <bob@example.org>\n"))
    assert [notice.recipient for notice in report.notices] == ["ann@example.org", "bob@example.org"]


@pytest.mark.parametrize(
    "headers",
    [
        "Auto-Submitted: auto-replied\nSubject: Re: Hello",
        "Auto-Submitted: auto-generated\nSubject: Out of office: Hello",
        "Subject: Automatische Antwort: Hello",
        "X-Autoreply: yes\nSubject: Hello",
        "Precedence: auto_reply\nSubject: Mail delivery failed, I am on vacation",
    ],
)
def test_an_answering_machine_is_no_bounce(headers):
    who = f"Return-Path: <>\nFrom: Ann <ann@example.org>\nTo: {RETURN_PATH}\n"
    text = f"{who}{headers}\n\nI am away; ann@example.org could not be delivered.\n"
    assert read(text.encode()) == Report(kind="auto_reply", sent_to=(RETURN_PATH,))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Subject: Hello\n\nThank you, ann@example.org\n",
        f"From: ann@example.org\nTo: {RETURN_PATH}\nSubject: Re: Hello\n\nPlease write to bob@example.org instead.\n",
    ],
)
def test_what_says_nothing_of_a_failure_is_no_bounce(text):
    report = read(text.encode())
    assert (report.kind, report.notices) == ("unknown", ())


def test_a_bomb_of_nested_parts_is_cut():
    bomb = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth) for depth in range(1_500)
    )
    assert len(parsing.parts(parsing.parse(bomb))) <= parsing.MAX_PARTS
    many = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 100_000
    assert len(parsing.parts(parsing.parse(many))) <= parsing.MAX_PARTS
    assert read(many).kind == "unknown"


@pytest.mark.parametrize(
    "subject", [b"=?\xe9?Q??=", b"=?utf-8?b?/?=", b"=?x?q?a?=", b"=?utf-8?q?=ff?=", b"=?idna?q?\xff?="]
)
def test_a_header_in_a_charset_that_is_none_is_read_as_it_stands(subject):
    """Found by fuzzing."""
    assert read(b" \nSubject:" + subject).kind == "unknown"


def test_half_a_character_of_utf_7_is_none():
    """Found by fuzzing: nothing can store it."""
    raw = b"From: MAILER-DAEMON@x.example\nSubject: =?utf-7?q?+2D0-?=\nContent-Type: text/plain; charset=utf-7\n\n"
    raw += b"Undeliverable: +2D0-ann@b.example"
    report = read(raw)
    assert report.notices
    assert all("\ud83d" not in text for notice in report.notices for text in (notice.recipient, notice.text))
    assert parsing.header(parsing.parse(raw), "subject") == "\ufffd"


LINES = st.sampled_from(
    [
        *standard(group()).decode().splitlines(),
        *EXIM.splitlines(),
        *feedback("abuse").decode().splitlines(),
        "--x--",
        "",
        ">",
        "\t",
    ]
)


@given(st.lists(LINES, max_size=60).map("\n".join).map(str.encode) | st.binary(max_size=400))
def test_whatever_comes_is_read_without_a_fault(raw):
    report = read(raw)
    for notice in report.notices:
        assert "@" in notice.recipient
        assert notice.hard == (notice.failure_class == "hard")
        assert not (notice.hard and notice.action == "delayed")
