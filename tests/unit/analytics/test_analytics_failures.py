import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from analytics.clickhouse import failures
from analytics.errors import ClickHouseRefused, ClickHouseUnavailable, PartVanished


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (OperationalError("connection refused"), ClickHouseUnavailable),
        (DatabaseError("Code: 241. memory limit", code=241), ClickHouseUnavailable),
        (DatabaseError("Code: 999. Keeper", code=999), ClickHouseUnavailable),
        (DatabaseError("Code: 1001. in file_size: No such file or directory", code=1001), PartVanished),
        (DatabaseError("Code: 60. unknown table", code=60), ClickHouseRefused),
        (DatabaseError("something else"), ClickHouseRefused),
    ],
)
def test_errors_of_the_driver_say_whether_to_ask_again(error, meaning):
    assert type(failures.from_driver(error)) is meaning
