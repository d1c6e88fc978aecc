"""Where databases are, and that nothing shows how to get in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from producer.errors import AudienceUnreadable
from producer.recipients.sql.address import address_of
from producer.settings import Database


@pytest.mark.parametrize(
    ("url", "password", "uri"),
    [
        ("postgresql://me@host/crm", "", "postgresql://me@host/crm?connect_timeout=10"),
        ("postgres://me@host:5433/crm?sslmode=require", "", "?sslmode=require&connect_timeout=10"),
        ("postgresql://me@host/crm?connect_timeout=3", "", "postgresql://me@host/crm?connect_timeout=3"),
        ("postgresql://me@host/crm", "p@ss/w:rd", "postgresql://me:p%40ss%2Fw%3Ard@host/crm?"),
        ("postgresql://me:old@host/crm", "new", "postgresql://me:new@host/crm?"),
        ("postgresql:///crm?host=/run/postgresql", "", "/crm?host=/run/postgresql&connect_timeout=10"),
        ("postgresql://me@[::1]:5432,other/crm", "", "postgresql://me@[::1]:5432,other/crm?"),
    ],
)
def test_an_address_of_postgresql_gets_its_password_and_a_time_limit(url: str, password: str, uri: str) -> None:
    address = address_of("crm", Database(url=url, password=password))
    assert (address.dialect.name, address.extra) == ("PostgreSQL", "postgresql")
    assert uri in address.uri


@pytest.mark.parametrize("url", ["sqlite:////var/crm.db", "/var/crm.db"])
def test_a_file_of_sqlite_is_opened_for_reading(url: str) -> None:
    assert address_of("crm", Database(url=url)).uri == "file:/var/crm.db?mode=ro"


def test_a_path_of_sqlite_may_be_relative_and_odd() -> None:
    assert address_of("crm", Database(url="sqlite:///my data?.db")).uri == "file:my%20data%3F.db?mode=ro"


def test_another_driver_gets_its_address_as_it_is() -> None:
    address = address_of("crm", Database(url="mysql://me:hush@host/crm", driver="mysql"))
    assert (address.driver, address.uri, address.secrets) == ("mysql", "mysql://me:hush@host/crm", ("hush",))


@pytest.mark.parametrize(
    "url", ["postgresql://me:hu@sh@host/crm", "postgresql://me:hu:sh@host/x", "postgresql://me:hush@host:sh/x"]
)
def test_an_address_that_cannot_be_read_is_not_shown(url: str) -> None:
    with pytest.raises(AudienceUnreadable, match="JETPOST_PRODUCER_DATABASES_MY_CRM_PASSWORD") as caught:
        address_of("my-crm", Database(url=url))
    assert "sh" not in str(caught.value).replace("should", "")


def test_without_an_address_the_setting_is_named() -> None:
    with pytest.raises(AudienceUnreadable, match="JETPOST_PRODUCER_DATABASES_CRM_URL"):
        address_of("crm", Database())


def test_an_address_of_an_unknown_kind_needs_a_driver() -> None:
    with pytest.raises(AudienceUnreadable, match="its ADBC driver in `driver`"):
        address_of("crm", Database(url="mysql://host/crm"))


def test_what_is_secret_is_known_in_every_spelling() -> None:
    address = address_of("crm", Database(url="postgresql://me:h%26sh@host/crm?sslpassword=a-key", password=""))
    assert set(address.secrets) == {"h%26sh", "h&sh", "a-key"}


def test_a_database_shows_no_password() -> None:
    database = Database(url="postgresql://me:hush@host/crm?password=hush", password="hush")
    assert "hush" not in repr(database)


@pytest.mark.parametrize(("url", "extra"), [("postgresql://host/x", "postgresql"), ("x.db", "sqlite")])
def test_without_adbc_its_extra_is_named(url: str, extra: str) -> None:
    program = (
        "import sys; sys.modules['adbc_driver_manager'] = None\n"
        "from producer.recipients.sql.connection import Connection\n"
        "from producer.settings import Database\n"
        f"Connection('crm', Database(url={url!r}))"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert f"needs ADBC. Install it with: pip install 'jetpost[{extra}]'." in ended.stderr
