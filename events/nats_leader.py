"""What only the leader of a stream answers, so that it is never older than the question (`$JS.API.STREAM.MSG.GET`).

Everything else may come from a copy that lacks what others have: for a moment as a rule, for as long as its host is cut off, and
after that until it has caught up. `STREAM.INFO`, too: where a stream has no leader, any of its servers answers with what it has.
A leader that is cut off answers for some seconds more, until it has noticed (docs/decisions/0029-hosts.md).
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

import msgspec

from events import nats_acks
from events.nats_errors import from_answer
from events.nats_wire import WireClient

TIMEOUT_SECONDS: Final = 10.0


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A message as JetStream's API gives it."""

    seq: int
    data: str = ""
    hdrs: str = ""

    @property
    def payload(self) -> bytes:
        return base64.b64decode(self.data)

    @property
    def headers(self) -> bytes:
        return base64.b64decode(self.hdrs)


class _Answer(msgspec.Struct, frozen=True):
    message: Found | None = None
    error: dict[str, Any] | None = None


_decode: Final = msgspec.json.Decoder(_Answer).decode


async def newest(client: WireClient, stream: str, subject: str) -> Found | None:
    """The newest message under a subject, which may have wildcards; None: there is none. Raises `BusError`."""
    if subject != ">":
        return await _get(client, stream, {"last_by_subj": subject})
    # Seen on nats-server 2.15: for all subjects it looks at the last place alone, and finds nothing where that was deleted.
    found = [await _get(client, stream, {"last_by_subj": one}) for one in ("*", "*.>")]
    return max((one for one in found if one is not None), key=lambda one: one.seq, default=None)


async def at(client: WireClient, stream: str, sequence: int) -> Found | None:
    """The message at a place; None: it is gone. Raises `BusError`."""
    return await _get(client, stream, {"seq": sequence})


async def _get(client: WireClient, stream: str, wanted: dict[str, Any]) -> Found | None:
    asked = json.dumps(wanted).encode()
    answer = _decode(await client.ask(f"$JS.API.STREAM.MSG.GET.{stream}", asked, TIMEOUT_SECONDS))
    if answer.error is not None and answer.error.get("err_code") not in nats_acks.NO_MESSAGE:
        raise from_answer(answer.error, f"reading {stream}")
    return answer.message
