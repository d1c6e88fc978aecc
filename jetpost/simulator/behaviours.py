"""How recipients answer: the plus-tag of the local part chooses (`ada+full@gmail.com`), the domain gives the wording.

| tag | what happens |
|---|---|
| none, or an unknown one | accepted |
| slow | accepted, `slow_seconds` late |
| greylist | 451 at RCPT until `greylist_seconds` after the first try, then accepted (RFC 6647) |
| full | the mailbox is full, always: 452 4.2.2 or 552 5.2.2 |
| unknown | no such user, always: 550 5.1.1 |
| throttled | the first `throttled_tries` tries are too fast: 421 4.7.28 and the connection closes, or 450 4.2.1 |
| blocked | refused by policy after the final dot, always: 550 5.7.1 |
| tempfail | a temporary local error, always: 451 4.3.0 |
| drop | the first time the connection drops instead of the final reply, and the mail is lost |
| drop-accepted | the first time the connection drops instead of the final reply, and the mail was taken |
| drop-before | the first time the connection drops instead of the reply to RCPT, before any of the message was sent |

The codes are those that the providers document; the words are ours. Tags work at every domain.

- Gmail: https://support.google.com/a/answer/3726730
- Yahoo: https://senders.yahooinc.com/smtp-error-codes/
- Microsoft: https://learn.microsoft.com/exchange/mail-flow-best-practices/non-delivery-reports-in-exchange-online
- Apple: https://support.apple.com/102322
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from events.providers import Provider


class Behaviour(StrEnum):
    ACCEPT = "accept"
    SLOW = "slow"
    GREYLIST = "greylist"
    FULL = "full"
    UNKNOWN = "unknown"
    THROTTLED = "throttled"
    BLOCKED = "blocked"
    TEMPFAIL = "tempfail"
    DROP = "drop"
    DROP_ACCEPTED = "drop-accepted"
    DROP_BEFORE = "drop-before"


REFUSED_AT_RCPT: Final = frozenset(
    {Behaviour.GREYLIST, Behaviour.FULL, Behaviour.UNKNOWN, Behaviour.THROTTLED, Behaviour.TEMPFAIL}
)
REFUSED_AT_FIRST: Final = frozenset({Behaviour.GREYLIST, Behaviour.THROTTLED})

_TAGS: Final = {behaviour.value.encode(): behaviour for behaviour in Behaviour}

_REPLIES: Final[dict[Behaviour, dict[Provider, str]]] = {
    Behaviour.GREYLIST: {
        "gmail": "451 4.7.1 We have not seen this sender before. Try again in {seconds} seconds. - gsim",
        "microsoft": "451 4.7.500 Server busy. Please try again in {seconds} seconds (SIM)",
        "yahoo": "451 4.7.1 Message temporarily deferred - sim02; try again in {seconds} seconds",
        "apple": "451 4.7.1 <{recipient}>: Recipient address deferred: greylisted, try again in {seconds} seconds",
        "other": "451 4.7.1 <{recipient}>: Greylisted, please try again in {seconds} seconds",
    },
    Behaviour.FULL: {
        "gmail": "452 4.2.2 The inbox of this recipient has no storage left. - gsim",
        "microsoft": "452 4.2.2 SIM.MailboxFull; the quota of the recipient is used up",
        "yahoo": "552 5.2.2 The mailbox of <{recipient}> is over its quota",
        "apple": "552 5.2.2 <{recipient}>: user is over quota",
        "other": "552 5.2.2 <{recipient}>: Mailbox is full",
    },
    Behaviour.UNKNOWN: {
        "gmail": "550 5.1.1 The account that you tried to reach does not exist. Check the address for typos. - gsim",
        "microsoft": "550 5.1.10 SIM.RecipientNotFound; <{recipient}> was not found here",
        "yahoo": "550 5.1.1 <{recipient}> User unknown; this mailbox does not exist",
        "apple": "550 5.1.1 <{recipient}>: user does not exist",
        "other": "550 5.1.1 <{recipient}>: Recipient address rejected: User unknown",
    },
    Behaviour.THROTTLED: {
        "gmail": "421 4.7.28 An unusual rate of mail comes from your network; it is rate limited for now. - gsim",
        "microsoft": "451 4.7.652 The mail server has been temporarily rate limited because of too many messages (SIM)",
        "yahoo": "421 4.7.0 [SIM04] Messages from your network are temporarily deferred: unexpected volume",
        "apple": "450 4.2.1 <{recipient}>: deferred because of excessive volume",
        "other": "450 4.2.1 <{recipient}>: this user receives mail too quickly, slow down",
    },
    Behaviour.BLOCKED: {
        "gmail": "550 5.7.1 This message is likely unsolicited and has been blocked. - gsim",
        "microsoft": "550 5.7.1 Messages from your network were not sent: part of it is on our block list (SIM3140)",
        "yahoo": "554 5.7.9 Message not accepted for policy reasons",
        "apple": "550 5.7.1 [SIM01] Message rejected because of local policy",
        "other": "550 5.7.1 Message refused by content policy",
    },
    Behaviour.TEMPFAIL: {
        "gmail": "451 4.3.0 Temporary system problem, try again later. - gsim",
        "microsoft": "451 4.3.2 Temporary server error, try again later (SIM)",
        "yahoo": "451 4.3.2 Internal error, try again later",
        "apple": "451 4.3.0 Temporary lookup failure",
        "other": "451 4.3.0 Local error in processing",
    },
}


def behaviour_of(local_part: bytes) -> Behaviour:
    """The behaviour that the last plus-tag names."""
    _, plus, tag = local_part.rpartition(b"+")
    return _TAGS.get(tag.lower(), Behaviour.ACCEPT) if plus else Behaviour.ACCEPT


def refusal(behaviour: Behaviour, provider: Provider, recipient: str, seconds: int) -> bytes:
    """The reply line, CRLF included, of a behaviour that refuses."""
    words = _REPLIES[behaviour][provider].format(recipient=recipient, seconds=seconds)
    return words.encode() + b"\r\n"
