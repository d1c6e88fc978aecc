"""Servers that are odd, in a way that Dovecot is not (tests/integration/test_bounces_by_imap.py)."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from smtp_servers import scripted

from analytics.errors import MailboxAway, MailboxRefused
from analytics.post.imap_connect import quoted
from analytics.post.mailbox import Mailbox
from analytics.post.settings import ImapSettings


class Odd:
    """Answers OK to everything. Scripted are, by the beginning of a command, lines before its OK, or one in place of it."""

    def __init__(self, answers, greeting="* OK ready", offers="IMAP4rev1 AUTH=PLAIN MOVE UIDPLUS"):
        self.commands = []
        self._answers = {"CAPABILITY": f"* CAPABILITY {offers}", "SELECT": "* 2 EXISTS"} | answers
        self._greeting = greeting

    @asynccontextmanager
    async def opened(self, **more):
        """A mailbox on it."""
        async with scripted(self._converse) as server:
            settings = {
                "host": "127.0.0.1",
                "port": server.port,
                "tls": "none",
                "username": "ada",
                "password": "geheim",
            }
            mailbox = await asyncio.to_thread(Mailbox.open, ImapSettings(**settings | more))
            try:
                yield mailbox
            finally:
                await asyncio.to_thread(mailbox.close)

    async def _converse(self, reader, writer):
        writer.write(f"{self._greeting}\r\n".encode())
        while line := (await reader.readline()).decode():
            tag, _, command = line.rstrip().partition(" ")
            self.commands.append(command)
            answer = next((said for begin, said in self._answers.items() if command.startswith(begin)), "")
            if command.startswith("AUTHENTICATE"):
                writer.write(b"+ \r\n")
                await reader.readline()
            given = answer if answer.startswith("{tag}") or not answer else f"{answer}\r\n"
            over = "" if answer.startswith("{tag}") else "{tag} OK done"
            writer.write(f"{given}{over}\r\n".replace("{tag}", tag).encode())
            await writer.drain()


async def call(odd, what, *arguments, **more):
    async with odd.opened(**more) as mailbox:
        return await asyncio.to_thread(getattr(mailbox, what), *arguments)


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX", '"INBOX"'),
        ("Entwürfe", '"Entw&APw-rfe"'),
        ("~peter/mail/台北/日本語", '"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'),
        ("A&B", '"A&-B"'),
        ('a "b" \\c', '"a \\"b\\" \\\\c"'),
        ("😀", '"&2D3eAA-"'),
    ],
)
def test_names_of_folders_are_written_in_modified_utf_7(name, wire):
    assert quoted(name) == wire


@pytest.mark.parametrize(
    ("odd", "more", "told"),
    [
        (Odd({}), {"tls": "starttls"}, "offers no STARTTLS: set bounces.imap.tls to implicit"),
        (Odd({}, offers="IMAP4rev1 LOGINDISABLED"), {}, "takes no password this way: set bounces.imap.tls"),
        (Odd({"LOGIN": "{tag} NO go away"}, offers="IMAP4rev1"), {}, "does not let 'ada' in.*says: .*go away"),
        (Odd({"AUTH": "{tag} NO [AUTHENTICATIONFAILED] no"}), {}, "set bounces.imap.username"),
        (Odd({"SELECT": "* OK [READ-ONLY] look only\r\n* 2 EXISTS"}), {}, "can only be read: give 'ada' the right"),
    ],
)
async def test_what_a_person_must_mend_is_said(odd, more, told):
    with pytest.raises(MailboxRefused, match=told):
        await call(odd, "waiting", **more)


@pytest.mark.parametrize("more", [{"tls": "starttls"}, {"tls": "none"}])
async def test_no_password_goes_where_it_is_not_safe(more):
    odd = Odd({}, offers="IMAP4rev1 LOGINDISABLED")
    with pytest.raises(MailboxRefused):
        await call(odd, "waiting", **more)
    assert odd.commands == ["CAPABILITY"]


@pytest.mark.parametrize(
    "odd",
    [
        Odd({"AUTH": "{tag} NO [UNAVAILABLE] the list of users is away"}),
        Odd({"SELECT": "{tag} NO [INUSE] somebody else has it"}),
        Odd({}, greeting="* BYE too many"),
        Odd({}, greeting="220 mx.example.net ESMTP"),
        Odd({"UID SEARCH": "* SEARCH one two"}),
        Odd({"UID SEARCH": "{tag} BAD what"}),
        Odd({"SELECT": "* BYE shutting down"}),
        Odd({"UID SEARCH": "* SEARCH " + "1 " * 600_000}),
    ],
)
async def test_what_may_be_over_later_ends_the_session_only(odd):
    with pytest.raises(MailboxAway):
        await call(odd, "waiting")


async def test_more_bytes_than_were_asked_for_are_not_read():
    with pytest.raises(MailboxAway, match="9000000000 bytes that nobody asked for"):
        await call(Odd({"UID FETCH": "* 1 FETCH (UID 5 BODY[]<0> {9000000000}\r\n"}), "fetch", [5], 100)


async def test_mails_are_found_in_whatever_order_a_server_tells_of_them():
    answer = "\r\n".join(
        [
            "* 1 FETCH (UID 5 BODY[]<0> {3}\r\nabc)",
            "* 2 FETCH (BODY[]<0> {3}\r\ndef UID 6)",
            '* 3 FETCH (UID 7 BODY[]<0> "")',
            "* 4 FETCH (FLAGS (\\Seen) UID 8)",
            "* 4 FETCH (FLAGS (\\Seen))",
            "* 5 FETCH (UID 9 BODY[] {2}\r\ngh FLAGS (\\Seen))",
        ]
    )
    odd = Odd({"UID FETCH": answer})
    assert await call(odd, "fetch", [5, 6, 7, 8, 9], 100) == {5: b"abc", 6: b"def", 7: b"", 9: b"gh"}
    assert "UID FETCH 5,6,7,8,9 (UID BODY.PEEK[]<0.100>)" in odd.commands


async def test_a_folder_of_a_hundred_thousand_is_searched_in_parts():
    odd = Odd({"SELECT": "* 120000 EXISTS", "UID SEARCH 100001": "* SEARCH 9 7"})
    assert await call(odd, "waiting", after="seen") == [7, 9]
    assert [command for command in odd.commands if "SEARCH" in command] == [
        "UID SEARCH 1:50000 UNDELETED UNSEEN",
        "UID SEARCH 50001:100000 UNDELETED UNSEEN",
        "UID SEARCH 100001:120000 UNDELETED UNSEEN",
    ]


async def test_where_login_is_all_a_server_knows_it_is_used():
    odd = Odd({}, offers="IMAP4rev1")
    assert await call(odd, "waiting") == []
    assert 'LOGIN ada "geheim"' in odd.commands


async def test_a_mail_that_cannot_be_put_away_is_for_later():
    with pytest.raises(MailboxAway, match="no room"):
        await call(Odd({"UID MOVE": "{tag} NO [OVERQUOTA] no room"}), "settle", [5])


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"username": ""}, "set username and password"),
        ({"password": ""}, "set username and password"),
        ({"move_to": "INBOX"}, "move_to is folder"),
    ],
)
def test_settings_that_cannot_work_are_refused(more, told):
    with pytest.raises(ValueError, match=told):
        ImapSettings(**{"host": "mail.example.com", "username": "ada", "password": "geheim"} | more)
    assert "geheim" not in repr(ImapSettings(host="mail.example.com", username="ada", password="geheim"))
