"""The client's side of pipelined SMTP transactions (RFC 5321, RFC 2920), without I/O: replies in, commands out.

    C: MAIL RCPT DATA                      S: 250 250 354
    C: <message 1> . MAIL RCPT DATA        S: 250 | 250 250 354
    C: <message 2> .                       S: 250

The envelope of the next mail rides with the final dot of the one before, so a mail costs one round trip. Where the server
offers CHUNKING (RFC 3030), BDAT takes the place of DATA and dot: the same turns, but no byte of the message need be looked
at for dots, on either side. Every mail gets exactly one outcome, whatever happens:

- A mail whose last byte was written and never answered is `Unknown`. The others were certainly not taken: `NotTried`.
- On a session that has carried nothing yet the first mail is `Refused` instead, so that a mail on which every session
  breaks does not go round for ever.
- 421 may come any time (RFC 5321 §3.8). It answers the mail that it comes to; the others are `NotTried`.
- A refusal of MAIL because the session has carried too many ends it too: this mail and the others go to the next one.
- A server that loses its place in a pipeline shows by commands that it calls out of sequence, or by replies to nothing:
  then `misbehaved` is set, nothing more is sent, and the owner of the connection stops pipelining.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum, auto
from math import inf
from typing import Final

from events.replies import ReplyReader
from sender.drivers import smtp_outcomes, smtp_wire
from sender.drivers.base import Accepted, NotTried, Outbound, Outcome, Reply, Unknown
from sender.drivers.smtp_wire import END, RSET, Extensions

_LARGE: Final = 32_768
"""Bytes. From here on the end of a message follows only when all before it has left our buffers, so that a connection that
dies in between leaves no doubt."""
_OUT_OF_SEQUENCE: Final = frozenset({500, 502, 503})


class Expect(Enum):
    """What the next reply answers."""

    RSET = auto()
    MAIL = auto()
    RCPT = auto()
    DATA = auto()
    FINAL = auto()
    LONE_DOT = auto()
    NOOP = auto()


_ENVELOPE: Final = (Expect.MAIL, Expect.RCPT, Expect.DATA)
_ENVELOPE_OF_CHUNKS: Final = (Expect.MAIL, Expect.RCPT)


class Session:
    """One connection that is past EHLO and AUTH.

    `begin` a batch, write what it returns; give what arrives to `feed`, write what that returns, and what `more` returns
    once it has left the buffers; until `done`. `lost` says that the connection is gone or silent.
    """

    def __init__(self, extensions: Extensions, clock: Callable[[], float], *, turn_seconds: float = inf) -> None:
        self._extensions = extensions
        self._writer = smtp_wire.Writer(extensions)
        self._clock = clock
        self._turn_seconds = turn_seconds
        self._reader = ReplyReader()
        self._expected: deque[Expect] = deque()
        self._mails: Sequence[Outbound] = ()
        self._outcomes: list[Outcome | None] = []
        self._waiting: deque[int] = deque()
        self._current = -1
        """The mail whose envelope is being answered."""
        self._prepared = b""
        """Its message, with CRLF."""
        self._finishing = -1
        """The mail whose message was written last."""
        self._refusal: tuple[Reply, Expect] | None = None
        self._in_transaction = False
        """The server holds an envelope that RSET must clear before the next MAIL."""
        self._end_due = b""
        """The end of a large message of which all else was written."""
        self._mute = False
        """Something is wrong already: settle what is answered, write nothing more."""
        self._turn_ends = inf
        self._took_one = False
        """The server accepted a mail in an earlier batch."""
        self.carried = 0
        """Mails that the server has answered for on this connection."""
        self.broken = ""
        """Why the session cannot be used any more; empty while it can."""
        self.misbehaved = False
        """The server cannot be trusted with a pipeline."""
        self.suspect = False
        """It fell silent after answering a part of what was written together."""
        self._answered = 0
        """Replies since something was written last."""
        self._handlers: dict[Expect, Callable[[Reply], bytes]] = {
            Expect.MAIL: self._on_mail,
            Expect.RCPT: self._on_rcpt,
            Expect.DATA: self._on_data,
            Expect.FINAL: self._on_final,
            Expect.RSET: self._on_harmless,
            Expect.LONE_DOT: self._on_harmless,
            Expect.NOOP: self._on_harmless,
        }

    @property
    def done(self) -> bool:
        """Nothing is expected from the server, and every mail has its outcome."""
        return not self._expected and not self._end_due

    @property
    def outcomes(self) -> list[Outcome]:
        """One per mail of the batch, in its order. Only when `done`."""
        return [outcome for outcome in self._outcomes if outcome is not None]

    @property
    def awaits_final_reply(self) -> bool:
        """The server has a whole message: it may take longer, and its silence makes a doubt."""
        return bool(self._expected) and self._expected[0] is Expect.FINAL

    def begin(self, mails: Sequence[Outbound]) -> bytes:
        """Start a batch. After `turn_seconds` no further mail of it is begun: the rest is `NotTried`."""
        assert self.done
        self._answered = 0
        self._took_one = self._has_taken
        self._mails = mails
        self._outcomes = [None] * len(mails)
        self._waiting.extend(range(len(mails)))
        self._turn_ends = self._clock() + self._turn_seconds
        if self.broken:
            self._give_up(self.broken)
            return b""
        return self._next_envelope()

    def probe(self) -> bytes:
        """Ask whether the server is still there; answered when `done` and not `broken`."""
        self._expected.append(Expect.NOOP)
        return b"NOOP\r\n"

    def feed(self, data: bytes) -> bytes:
        """Takes what has arrived; returns what to write."""
        replies = self._reader.feed(data)
        written = b""
        for number, reply in enumerate(replies, 1):
            # a reply that comes with the last expected one cannot answer what is only about to be written
            self._mute = len(self._expected) == 1 and (number < len(replies) or bool(self._reader.malformed))
            written = self._answer(reply)
            if self.broken:
                return b""
        if self._reader.malformed:
            self.lost(f"the server sent {self._reader.malformed}")
            return b""
        if written:
            self._answered = 0
        return written

    def more(self) -> bytes:
        """What may be written now that everything before has left the buffers."""
        if not self._end_due:
            return b""
        end, self._end_due = self._end_due, b""
        return end + self._after_message()

    def lost(self, reason: str) -> None:
        """The connection is gone, or will be closed: nothing more will be written or heard."""
        if self.broken:
            return
        self.broken = reason
        if Expect.FINAL in self._expected:
            self._settle(self._finishing, Unknown(reason))
        elif self.carried == 0 and not self.misbehaved and None in self._outcomes:
            self._settle(self._outcomes.index(None), smtp_outcomes.broken(reason))
        self._give_up(reason)

    def silent(self, reason: str) -> None:
        """The server has not answered in time: the connection will be closed."""
        self.suspect = self._answered > 0 and bool(self._expected)
        self.lost(reason)

    # what replies mean

    def _answer(self, reply: Reply) -> bytes:
        self._answered += 1
        if not self._expected:
            return self._unexpected(reply)
        expected = self._expected.popleft()
        if reply.code == 421:
            return self._on_shutdown(expected, reply)
        return self._handlers[expected](reply)

    def _on_mail(self, reply: Reply) -> bytes:
        if 200 <= reply.code < 300:
            self._in_transaction = True
            return b""
        if self._has_taken and smtp_outcomes.used_up(reply):
            return self._on_shutdown(Expect.MAIL, reply)
        return self._note_refusal(reply, Expect.MAIL)

    @property
    def _has_taken(self) -> bool:
        return self._took_one or any(isinstance(outcome, Accepted) for outcome in self._outcomes)

    def _on_rcpt(self, reply: Reply) -> bytes:
        if self._refusal is None and not 200 <= reply.code < 300:
            self._note_refusal(reply, Expect.RCPT)
        if self.misbehaved or not self._extensions.chunking:
            return b""
        return self._message() if self._refusal is None else self._settle_refusal()

    def _note_refusal(self, reply: Reply, command: Expect) -> bytes:
        if reply.code in _OUT_OF_SEQUENCE or reply.code < 400:
            return self._misbehave(f"{reply.code} {reply.text} to {command.name}")
        self._refusal = (reply, command)
        return b""

    def _on_data(self, reply: Reply) -> bytes:
        wants_message = reply.code == 354
        if self._refusal is None:
            if wants_message:
                return self._message()
            self._note_refusal(reply, Expect.DATA)
        if self.misbehaved:
            return b""
        if not wants_message or self._mute:
            return self._settle_refusal()
        self._in_transaction = False
        self._expected.append(Expect.LONE_DOT)
        return END + self._settle_refusal()

    def _settle_refusal(self) -> bytes:
        """The envelope was refused: on to the next."""
        assert self._refusal is not None
        (reply, command), self._refusal = self._refusal, None
        about_recipient = command is not Expect.MAIL
        self._settle(self._current, smtp_outcomes.refused(self._mails[self._current], reply, about_recipient))
        self.carried += 1
        return self._next_envelope()

    def _on_final(self, reply: Reply) -> bytes:
        if 300 <= reply.code < 400:
            self._expected.appendleft(Expect.FINAL)  # not an answer: it stays in doubt
            return self._misbehave(f"{reply.code} {reply.text} to a message")
        if self._extensions.chunking and reply.code in _OUT_OF_SEQUENCE:
            return self._misbehave(f"{reply.code} {reply.text} to BDAT")
        self._settle(self._finishing, self._verdict(reply))
        self.carried += 1
        return b""

    def _verdict(self, reply: Reply) -> Outcome:
        if reply.code < 300:
            return Accepted(reply, self._clock())
        return smtp_outcomes.refused(self._mails[self._finishing], reply, about_recipient=True)

    def _on_harmless(self, _: Reply) -> bytes:
        return b""

    def _on_shutdown(self, expected: Expect, reply: Reply) -> bytes:
        if expected is Expect.FINAL:
            self._on_final(reply)
        elif expected in _ENVELOPE and (expected is not Expect.MAIL or self.carried == 0):
            self._mute = True
            self._refusal = self._refusal or (reply, expected)
            self._settle_refusal()
        self.lost(f"the server closed the session: {reply.text}")
        return b""

    def _unexpected(self, reply: Reply) -> bytes:
        """A reply to nothing: the server closes, gives up on a large message half-way, or has lost count."""
        gave_up = bool(self._end_due) and reply.code >= 400
        if gave_up:
            self._settle(self._finishing, self._verdict(reply))
        if gave_up or reply.code == 421:
            self.lost(f"the server closed the session: {reply.text}")
            return b""
        return self._misbehave(f"{reply.code} {reply.text} to nothing")

    def _misbehave(self, what: str) -> bytes:
        self.misbehaved = True
        self.lost(f"the server lost its place: it said {what}")
        return b""

    # what to write

    def _next_envelope(self) -> bytes:
        """MAIL, RCPT and DATA of the next mail that this server can take; empty where there is none."""
        if self._clock() > self._turn_ends:
            self._turn_over()
        while self._waiting and not self._mute:
            self._current = self._waiting.popleft()
            try:
                envelope, self._prepared = self._writer.write(self._mails[self._current])
            except smtp_wire.Unsendable as reason:
                self._settle(self._current, smtp_outcomes.unsendable(str(reason)))
                continue
            cleared = self._cleared()
            self._expected.extend(_ENVELOPE_OF_CHUNKS if self._extensions.chunking else _ENVELOPE)
            return cleared + envelope
        return b""

    def _cleared(self) -> bytes:
        if not self._in_transaction:
            return b""
        self._in_transaction = False
        self._expected.append(Expect.RSET)
        return RSET

    def _message(self) -> bytes:
        if self._mute:
            return b""
        self._finishing = self._current
        self._in_transaction = False
        message = self._prepared
        if self._extensions.chunking:
            start, end = b"BDAT %d LAST\r\n" % len(message), b""
        else:
            start, end = b"", END
            message = smtp_wire.dot_stuffed(message)
        if len(message) > _LARGE:
            self._end_due = message[-2:] + end
            return start + message[:-2]
        return b"".join((start, message, end, self._after_message()))

    def _after_message(self) -> bytes:
        self._expected.append(Expect.FINAL)
        return self._next_envelope()

    # outcomes

    def _settle(self, index: int, outcome: Outcome) -> None:
        assert self._outcomes[index] is None, "a mail has one outcome"
        self._outcomes[index] = outcome

    def _turn_over(self) -> None:
        for index in self._waiting:
            self._settle(index, NotTried("the turn was over"))
        self._waiting.clear()

    def _give_up(self, reason: str) -> None:
        self._expected.clear()
        self._waiting.clear()
        self._end_due = b""
        for index, outcome in enumerate(self._outcomes):
            if outcome is None:
                self._settle(index, NotTried(reason))
