"""What the dashboard's questions cost when ClickHouse holds 100 million events."""
