"""What an audience in a database is: which database, which query, and what orders its rows."""

from __future__ import annotations

import hashlib

import msgspec

from producer.settings import Database


class SqlAudience(msgspec.Struct, frozen=True):
    name: str
    """Of the database, in the settings."""
    database: Database
    query: str
    """One SELECT, without a semicolon at its end."""
    key: str
    """The column that orders the rows, so that a launch can go on in the middle. Its values must not change meanwhile."""

    def __str__(self) -> str:
        return f"The query on the database {self.name!r}"

    @property
    def digest(self) -> str:
        """The same for the same question; what the database answers may differ from day to day."""
        content = msgspec.msgpack.encode((self.name, self.query, self.key))
        return hashlib.blake2b(content, digest_size=16).hexdigest()
