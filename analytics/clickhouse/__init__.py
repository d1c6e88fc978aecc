"""The one door to ClickHouse: client, migrations and queries."""
