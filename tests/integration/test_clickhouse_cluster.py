"""The schema on a cluster, as far as ClickHouse inside this process goes: one shard, which is this server.

What needs several servers and a Keeper is held by its text in tests/unit/analytics/test_analytics_sharding.py.
"""

import subprocess
import sys
from pathlib import Path

CONFIG = """
<clickhouse>
 <tcp_port>9000</tcp_port>
 <remote_servers><mails>
  <shard><internal_replication>true</internal_replication><replica><host>127.0.0.1</host><port>9000</port></replica></shard>
 </mails></remote_servers>
</clickhouse>
"""
CHILD = Path(__file__).with_name("clickhouse_cluster_child.py")


def test_tables_are_made_filled_once_asked_and_emptied_through_distributed_ones(tmp_path):
    (tmp_path / "config.xml").write_text(CONFIG)
    told = subprocess.run(
        [sys.executable, CHILD, f"chdb://{tmp_path / 'data'}?config-file={tmp_path / 'config.xml'}"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert told.stdout.splitlines()[-1] == "all is well"
