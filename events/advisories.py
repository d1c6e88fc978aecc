"""What JetStream says about its own doings, as far as we listen to it."""

from __future__ import annotations

import msgspec


class MaxDeliveries(msgspec.Struct, frozen=True):
    """A message was delivered as often as its consumer allows, and never acknowledged. It stays in its stream."""

    stream: str
    consumer: str
    stream_seq: int
    deliveries: int


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(MaxDeliveries).decode
