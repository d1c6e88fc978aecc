"""What the driver's errors mean to us: ask again, or not."""

from __future__ import annotations

from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError, StreamFailureError

from analytics import errors

_FOR_NOW: Final = frozenset(
    {
        75,  # CANNOT_WRITE_TO_FILE_DESCRIPTOR
        76,  # CANNOT_OPEN_FILE
        159,  # TIMEOUT_EXCEEDED
        160,  # TOO_SLOW
        173,  # CANNOT_ALLOCATE_MEMORY
        202,  # TOO_MANY_SIMULTANEOUS_QUERIES
        203,  # NO_FREE_CONNECTION
        209,  # SOCKET_TIMEOUT
        210,  # NETWORK_ERROR
        225,  # NO_ZOOKEEPER
        236,  # ABORTED
        241,  # MEMORY_LIMIT_EXCEEDED
        242,  # TABLE_IS_READ_ONLY
        243,  # NOT_ENOUGH_SPACE
        252,  # TOO_MANY_PARTS
        279,  # ALL_CONNECTION_TRIES_FAILED
        285,  # TOO_FEW_LIVE_REPLICAS
        286,  # UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE
        289,  # REPLICA_IS_NOT_IN_QUORUM
        319,  # UNKNOWN_STATUS_OF_INSERT
        394,  # QUERY_WAS_CANCELLED
        425,  # SYSTEM_ERROR
        439,  # CANNOT_SCHEDULE_TASK
        999,  # KEEPER_EXCEPTION
    }
)
"""Codes of ClickHouse (src/Common/ErrorCodes.cpp) that tell of a state that passes."""

_STD_EXCEPTION: Final = 1001
"""From outside ClickHouse's own code; seen of the embedded engine when a file of a part was gone at the moment of reading."""


def from_driver(error: ClickHouseError) -> errors.AnalyticsError:
    """Without a code it was the connection: that passes too."""
    code = getattr(error, "code", None)
    if code == _STD_EXCEPTION:
        return errors.PartVanished(str(error))
    lost = code is None and isinstance(error, OperationalError | StreamFailureError)
    if lost or code in _FOR_NOW:
        return errors.ClickHouseUnavailable(str(error))
    return errors.ClickHouseRefused(str(error))
