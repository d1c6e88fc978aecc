"""The server's side of one SMTP connection (RFC 5321), without I/O: bytes in, replies and what to do next out."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Final, NamedTuple

from events.providers import Provider, provider_of
from jetpost.simulator import behaviours
from jetpost.simulator.authentication import Authentication
from jetpost.simulator.behaviours import Behaviour
from jetpost.simulator.message import MessageReader
from jetpost.simulator.world import World

NAME: Final = "simulator.jetpost.test"
_MAX_LINE: Final = 12_288
"""Room for the initial response of AUTH (RFC 4954 §4)."""

_OK: Final = b"250 2.0.0 Ok\r\n"
SENDER_OK: Final = b"250 2.1.0 Sender ok\r\n"
RECIPIENT_OK: Final = b"250 2.1.5 Recipient ok\r\n"
SEND_MESSAGE: Final = b"354 End data with <CR><LF>.<CR><LF>\r\n"
TAKEN: Final = b"250 2.0.0 Ok: taken\r\n"
_TOO_LARGE: Final = b"552 5.3.4 Message is larger than SIZE says\r\n"
_BAD_SYNTAX: Final = b"501 5.5.4 Syntax error in parameters\r\n"
_BAD_SEQUENCE: Final = b"503 5.5.1 Bad sequence of commands\r\n"


class Next(Enum):
    """What the owner of the connection does after writing the replies."""

    GO_ON = auto()
    WAIT = auto()
    """Call `receive` after `seconds`, with what has arrived since."""
    CLOSE = auto()
    HANG = auto()
    """Say nothing any more, and leave the connection open."""
    HALF_CLOSE = auto()
    """End our side of the connection, and leave the client's open."""
    START_TLS = auto()
    """Negotiate TLS, then start a new, secure session without a greeting (RFC 3207 §4.2)."""


_FAULTS_AT_THE_END: Final = (
    ("hang", False, Next.HANG, b""),
    ("hang_after_accepting", True, Next.HANG, b""),
    ("half_close", False, Next.HALF_CLOSE, b""),
    ("garbage", False, Next.GO_ON, b"\x16\x03 this is no SMTP reply\r\n"),
    ("drop_before_accepting", False, Next.CLOSE, b""),
    ("drop_after_accepting", True, Next.CLOSE, b""),
)
"""At the final dot: the fault (`settings.Faults`), whether the mail is taken, what the connection does, what is said."""


class Turn(NamedTuple):
    replies: bytes
    next: Next
    seconds: float = 0


class Recipient(NamedTuple):
    address: bytes
    provider: Provider
    behaviour: Behaviour


class Session:
    """One connection: give what arrives to `receive`, write the replies, do as `next` says."""

    def __init__(self, world: World, *, secure: bool = False) -> None:
        self._world = world
        self._settings = world.settings
        self._secure = secure
        self._greeted = False
        self._auth = Authentication(*world.settings.credentials) if world.settings.credentials else None
        self._input = b""
        self._replies: list[bytes] = []
        self._held = b""
        self._next = Next.GO_ON
        self._message = MessageReader()
        self._in_message = False
        self._chunk_left = 0
        self._last_chunk = False
        self._chunking = False
        """Some chunks of a message were read, the last one not."""
        self._sender: bytes | None = None
        self._recipients: list[Recipient] = []
        self._visit = world.visit()
        self._commands: dict[bytes, Callable[[bytes], bytes]] = {
            b"MAIL": self._mail,
            b"RCPT": self._rcpt,
            b"DATA": self._data,
            b"BDAT": self._bdat,
            b"RSET": self._rset,
            b"NOOP": lambda _: _OK,
            b"QUIT": lambda _: self._stop(Next.CLOSE, b"221 2.0.0 Bye\r\n"),
            b"EHLO": self._ehlo,
            b"HELO": self._helo,
            b"AUTH": self._authenticate,
            b"STAR": self._starttls,
            b"VRFY": lambda _: b"252 2.1.5 Send a mail and see\r\n",
        }

    @property
    def greeting(self) -> bytes:
        return f"220 {NAME} ESMTP Jetpost mailbox simulator\r\n".encode()

    def closed(self) -> None:
        """The connection is gone."""
        self._visit.leave()

    def receive(self, data: bytes) -> Turn:
        """Answers everything that is complete, in order, up to where `next` asks for something else first."""
        if self._input:
            data = self._input + data
        self._replies = [self._held] if self._held else []
        self._held = b""
        self._next = Next.GO_ON
        position = 0
        while position < len(data) and self._next is Next.GO_ON:
            if self._chunk_left:
                after = self._read_chunk(data, position)
            elif self._in_message:
                after = self._read_message(data, position)
            else:
                after = self._read_line(data, position)
            if after < 0:
                break
            position = after
        if self._in_message and self._next is Next.GO_ON:
            position = len(data)  # the reader has kept what it needs of an unfinished message
        self._input = data[position:]
        return Turn(b"".join(self._replies), self._next, self._settings.slow_seconds)

    def _read_message(self, data: bytes, position: int) -> int:
        end = self._message.feed(data, position)
        if end >= 0:
            self._in_message = False
            self._world.counts.bytes += self._message.size
            self._replies.append(self._end_of_message())
        return end

    def _read_chunk(self, data: bytes, position: int) -> int:
        end = min(len(data), position + self._chunk_left)
        self._chunk_left -= end - position
        if self._recipients:
            self._message.feed_chunk(data, position, end)
        if not self._chunk_left:
            self._replies.append(self._end_of_chunk())
        return end

    def _read_line(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position)
        if end < 0:
            if len(data) - position > _MAX_LINE:
                self._replies.append(self._stop(Next.CLOSE, b"500 5.5.2 Line too long\r\n"))
            return -1
        line = data[position:end]
        if self._auth is not None and self._auth.expects_line:
            self._replies.append(self._auth.answer(line))
        else:
            command = self._commands.get(line[:4].upper())
            self._replies.append(command(line) if command else b"500 5.5.2 Command not recognised\r\n")
        return end + 2

    def _stop(self, what: Next, reply: bytes = b"") -> bytes:
        self._next = what
        return reply

    # greeting and security

    def _ehlo(self, line: bytes) -> bytes:
        if not line[5:].strip():
            return _BAD_SYNTAX
        self._greeted = True
        self._reset()
        *most, last = [NAME, *self._extensions()]
        return "".join([*(f"250-{text}\r\n" for text in most), f"250 {last}\r\n"]).encode()

    def _extensions(self) -> list[str]:
        offered = [f"SIZE {self._settings.max_size}", "8BITMIME", "ENHANCEDSTATUSCODES"]
        if self._settings.pipelining:
            offered.append("PIPELINING")
        if self._settings.chunking:
            offered.append("CHUNKING")
        if self._settings.smtputf8:
            offered.append("SMTPUTF8")
        if self._settings.tls and not self._secure:
            offered.append("STARTTLS")
        if self._auth:
            offered.append("AUTH PLAIN LOGIN")
        return offered

    def _helo(self, line: bytes) -> bytes:
        self._greeted = bool(line[5:].strip())
        self._reset()
        return f"250 {NAME}\r\n".encode() if self._greeted else _BAD_SYNTAX

    def _starttls(self, line: bytes) -> bytes:
        if line.upper() != b"STARTTLS" or not self._settings.tls or self._secure:
            return b"502 5.5.1 STARTTLS is not offered\r\n"
        return self._stop(Next.START_TLS, b"220 2.0.0 Ready to start TLS\r\n")

    def _authenticate(self, line: bytes) -> bytes:
        if self._auth is None or not self._greeted or self._auth.succeeded:
            return _BAD_SEQUENCE
        return self._auth.begin(line)

    # transactions

    def _reset(self) -> None:
        self._visit.leave()
        self._chunking = False
        self._sender = None
        self._recipients = []

    def _rset(self, _: bytes) -> bytes:
        self._reset()
        return _OK

    def _mail(self, line: bytes) -> bytes:
        end = line.find(b">")
        if not self._greeted or self._sender is not None:
            return _BAD_SEQUENCE
        if self._auth is not None and not self._auth.succeeded:
            return b"530 5.7.0 Authentication required\r\n"
        if line[:11].upper() != b"MAIL FROM:<" or end < 0:
            return _BAD_SYNTAX
        if _declared_size(line[end + 1 :]) > self._settings.max_size:
            return _TOO_LARGE
        if self._world.strikes("shut_down", self._world.faults.shut_down):
            return self._stop(Next.CLOSE, b"421 4.3.2 Service shutting down\r\n")
        self._sender = line[11:end]
        return SENDER_OK

    def _rcpt(self, line: bytes) -> bytes:
        if self._sender is None:
            return _BAD_SEQUENCE
        end = line.find(b">")
        if line[:9].upper() != b"RCPT TO:<" or end < 0:
            return _BAD_SYNTAX
        address = line[9:end]
        local, _, domain = address.rpartition(b"@")
        if not local or not domain:
            return b"501 5.1.3 Bad recipient address syntax\r\n"
        provider = provider_of(domain.decode("utf-8", "replace").lower())
        behaviour = behaviours.behaviour_of(local) if b"+" in local else Behaviour.ACCEPT
        recipient = Recipient(address, provider, behaviour)
        too_much = self._visit.refuses(provider)
        if too_much is not None:
            return self._turn_away(too_much)
        if behaviour in behaviours.REFUSED_AT_RCPT and self._turns_away(recipient):
            return self._refuse(recipient)
        self._recipients.append(recipient)
        return self._stop(Next.CLOSE) if self._drops_early(behaviour) else RECIPIENT_OK

    def _turns_away(self, recipient: Recipient) -> bool:
        match recipient.behaviour:
            case Behaviour.GREYLIST:
                earlier, seconds = self._world.count_try(recipient.behaviour, recipient.address)
                return earlier == 0 or seconds < self._settings.greylist_seconds
            case Behaviour.THROTTLED:
                earlier, _ = self._world.count_try(recipient.behaviour, recipient.address)
                return earlier < self._settings.throttled_tries
            case _:
                return True

    def _refuse(self, recipient: Recipient) -> bytes:
        self._world.counts.refused[recipient.behaviour] += 1
        address = recipient.address.decode("utf-8", "replace")
        seconds = max(1, round(self._settings.greylist_seconds))
        return self._turn_away(behaviours.refusal(recipient.behaviour, recipient.provider, address, seconds))

    def _turn_away(self, reply: bytes) -> bytes:
        return self._stop(Next.CLOSE, reply) if reply.startswith(b"421") else reply

    def _data(self, _: bytes) -> bytes:
        if not self._recipients:
            return _BAD_SEQUENCE if self._sender is None else b"554 5.5.1 No valid recipients\r\n"
        self._message.begin()
        self._in_message = True
        return SEND_MESSAGE

    def _bdat(self, line: bytes) -> bytes:
        """A chunk is read whatever becomes of it: its bytes are on their way (RFC 3030 §2)."""
        size, _, last = line[5:].strip().partition(b" ")
        if not self._settings.chunking or not size.isdigit() or last.upper() not in {b"", b"LAST"}:
            return self._stop(Next.CLOSE, _BAD_SYNTAX)
        if not self._chunking:
            self._message.begin()
        self._chunking = True
        self._chunk_left, self._last_chunk = int(size), bool(last)
        return b"" if self._chunk_left else self._end_of_chunk()

    def _end_of_chunk(self) -> bytes:
        if not self._recipients:
            self._chunking = False
            return _BAD_SEQUENCE if self._sender is None else b"554 5.5.1 No valid recipients\r\n"
        if not self._last_chunk:
            return _OK
        self._message.end_chunks()
        self._world.counts.bytes += self._message.size
        return self._end_of_message()

    def _drops_early(self, behaviour: Behaviour) -> bool:
        """Whether the connection drops before anything of the message was sent."""
        if self._world.strikes("drop_before_message", self._world.faults.drop_before_message):
            return True
        return behaviour is Behaviour.DROP_BEFORE and self._drops(behaviour)

    def _drops(self, behaviour: Behaviour) -> bool:
        """Whether a recipient of the transaction makes the connection drop: each does it once."""
        return any(
            recipient.behaviour is behaviour and self._world.count_try(behaviour, recipient.address)[0] == 0
            for recipient in self._recipients
        )

    # the end of a message

    def _end_of_message(self) -> bytes:
        reply = self._fault()
        if reply is None:
            reply = self._verdict()
        self._reset()
        return reply

    def _fault(self) -> bytes | None:
        if self._world.calm:
            return None
        for name, takes, what, reply in _FAULTS_AT_THE_END:
            if self._world.strikes(name, getattr(self._world.faults, name)):
                if takes:
                    self._take()
                return self._stop(what, reply)
        return None

    def _verdict(self) -> bytes:
        if self._message.size > self._settings.max_size:
            return _TOO_LARGE
        first = self._recipients[0]
        if first.behaviour is Behaviour.ACCEPT:
            return self._take()
        return self._odd_verdict(first)

    def _odd_verdict(self, first: Recipient) -> bytes:
        if first.behaviour is Behaviour.BLOCKED:
            return self._refuse(first)
        if self._drops(Behaviour.DROP):
            return self._stop(Next.CLOSE)
        reply = self._take()
        if self._drops(Behaviour.DROP_ACCEPTED):
            return self._stop(Next.CLOSE)
        if first.behaviour is Behaviour.SLOW:
            self._held = reply
            return self._stop(Next.WAIT)
        return reply

    def _take(self) -> bytes:
        is_over = False
        for recipient in self._recipients:
            self._world.counts.accept(self._message.mail_id, recipient.provider)
            is_over |= self._visit.is_over(recipient.provider)
        return self._stop(Next.CLOSE, TAKEN) if is_over else TAKEN


def _declared_size(parameters: bytes) -> int:
    """The SIZE parameter of MAIL FROM (RFC 1870 §6), 0 where there is none."""
    _, _, value = parameters.upper().partition(b" SIZE=")
    digits = value.split(b" ", 1)[0]
    return int(digits) if digits.isdigit() else 0
