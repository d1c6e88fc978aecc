"""Where a database is, from its settings: which driver speaks to it, and what must never be shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from producer.errors import AudienceUnreadable
from producer.recipients.sql.dialects import Dialect, PostgreSql, Sqlite
from producer.settings import Database

CONNECT_SECONDS: Final = 10
_SQLITE_FILE: Final = re.compile(r"(?:sqlite://(?P<path>/.*)|(?P<bare>[^:?]*\.(?:db|sqlite|sqlite3)))", re.DOTALL)
_SHORTEST_SECRET: Final = 4
"""A shorter one protects nothing, and hiding it would garble every message."""
_PASSWORDS: Final = re.compile(r"(?<=[?&])(?:password|sslpassword|pwd)=([^&]*)")


class Address(NamedTuple):
    dialect: Dialect
    extra: str
    """Of Jetpost, which installs what is needed."""
    driver: str
    """A module, for PostgreSQL and SQLite; otherwise what ADBC's driver manager knows it by."""
    uri: str
    secrets: tuple[str, ...]
    """What must not be shown, whatever a driver says."""
    file: Path | None = None
    """Of a database that is one."""


def address_of(name: str, database: Database) -> Address:
    """Raises `AudienceUnreadable`, without showing the address: a wrong one may have its password anywhere."""
    url = database.url
    if not url:
        raise AudienceUnreadable(f"The database {name!r} has no url. {_how_to_set(name)}")
    if database.driver:
        return Address(Dialect(), "sql", database.driver, url, _secrets(url, database.password))
    if re.match(r"postgres(?:ql)?://", url):
        uri = _postgresql(name, url, database.password)
        return Address(PostgreSql(), "postgresql", "adbc_driver_postgresql", uri, _secrets(uri, database.password))
    if found := _SQLITE_FILE.fullmatch(url):
        path = (found["path"] or "").removeprefix("/") or found["bare"]
        return Address(Sqlite(), "sqlite", "adbc_driver_sqlite", f"file:{quote(path)}?mode=ro", (), Path(path))
    raise AudienceUnreadable(
        f"The url of the database {name!r} is of no kind that is known: postgresql://… and sqlite:///path/to/file are. "
        "For another database name its ADBC driver in `driver`."
    )


def _postgresql(name: str, url: str, password: str) -> str:
    """With the password and a time limit for connecting. What cannot be taken apart is not handed to libpq, which shows it."""
    try:
        parts = urlsplit(url)
        _ = [int(port) for host in parts.netloc.rpartition("@")[2].split(",") if (port := _port(host))]
    except ValueError:
        parts = None
    if parts is None or parts.netloc.count("@") > 1 or parts.netloc.rpartition("@")[0].count(":") > 1 or parts.fragment:
        raise AudienceUnreadable(
            f"The url of the database {name!r} cannot be read. Write special characters in it as %40 (for @) and so on, "
            f"or set the password by itself: {_variable(name, 'PASSWORD')}."
        )
    user, _, host = parts.netloc.rpartition("@")
    if password:
        user = f"{user.partition(':')[0]}:{quote(password, safe='')}"
    query = parts.query
    if "connect_timeout=" not in query:
        query += f"{'&' if query else ''}connect_timeout={CONNECT_SECONDS}"
    return urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, query, ""))


def _port(host: str) -> str:
    return host.rpartition(":")[2] if ":" in host.rpartition("]")[2] else ""


def _secrets(uri: str, password: str) -> tuple[str, ...]:
    found = [password, *_PASSWORDS.findall(uri)]
    user, at, _ = uri.partition("://")[2].rpartition("@")
    if at:
        found.append(user.partition(":")[2])
    forms = [form for secret in found for form in (secret, unquote(secret)) if len(form) >= _SHORTEST_SECRET]
    return tuple(dict.fromkeys(forms))


def _how_to_set(name: str) -> str:
    return f"Set `url` in [producer.databases.{name}] of the settings file, or {_variable(name, 'URL')}."


def _variable(name: str, setting: str) -> str:
    return f"JETPOST_PRODUCER_DATABASES_{name.upper().replace('-', '_')}_{setting}"
