-- What happened to campaigns and batches, one row per fact. A fact that was stated twice counts once: read with FINAL.
CREATE TABLE IF NOT EXISTS campaign_facts ${on_cluster}
(
    sequence UInt64,
    campaign String,
    type LowCardinality(String),
    at DateTime64(3, 'UTC'),
    name String,
    pool LowCardinality(String),
    status LowCardinality(String),
    batch UInt64 COMMENT 'Its number; of closings and reopenings how often the campaign was reopened; else 0',
    planned UInt64,
    batches UInt64,
    duplicates UInt64,
    rejected UInt64,
    queued UInt64,
    failed UInt64,
    suppressed UInt64,
    cancelled UInt64,
    raw_bytes UInt64,
    queued_bytes UInt64
)
ENGINE = ${ReplacingMergeTree(sequence)}
ORDER BY (campaign, type, batch)
SETTINGS ${deduplication};
