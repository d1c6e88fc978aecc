"""The benchmark of audiences in databases, small: its table is what it says."""

from benchmarks import sql_audience
from benchmarks.audience import FIELDS
from producer.recipients.audience import Projection, Reading
from producer.recipients.recipient import Recipient
from producer.recipients.sql.audience import SqlAudience
from producer.settings import Database


def test_the_table_has_repeats_and_broken_rows_as_the_files_have(postgres) -> None:
    sql_audience.fill(postgres, 4_000)
    source = SqlAudience("bench", Database(url=postgres.url), sql_audience._QUERY, "id")
    rows = list(Reading(source, Projection("email", FIELDS, (None, None, "free"))))
    found = [row for row in rows if isinstance(row, Recipient)]
    assert (len(rows), len(rows) - len(found)) == (4_000, 4)
    assert len(found) - len({row.identity for row in found}) in range(150, 201)
    assert {row.provider for row in found} == {"gmail", "microsoft", "yahoo", "apple", "other"}
    measured = sql_audience.cut(source)
    assert measured.rows == 4_000
    assert sql_audience.read(source).rows == 4_000
    assert sql_audience._first_row(source, 3_999) >= 0
