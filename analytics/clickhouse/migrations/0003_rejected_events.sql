-- Messages on EVENTS that this release cannot read: kept as they were, so that a later one can.
CREATE TABLE IF NOT EXISTS rejected_events ${on_cluster}
(
    sequence UInt64,
    subject String,
    payload String COMMENT 'The bytes as they were',
    reason String
)
ENGINE = ${MergeTree}
ORDER BY sequence
SETTINGS ${deduplication};
