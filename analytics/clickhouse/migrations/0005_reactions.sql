-- What came of mails after they were handed over: opens, clicks, unsubscriptions, complaints. The ledger knows nothing of them.
--
-- Sorted by what is asked for: all reactions of one kind to one campaign, mail by mail.
CREATE TABLE IF NOT EXISTS reactions ${on_cluster}
(
    sequence UInt64 CODEC(Delta, ZSTD(1)),
    campaign LowCardinality(String),
    mail_id String CODEC(ZSTD(1)),
    type LowCardinality(String),
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    recipient String CODEC(ZSTD(1)) COMMENT 'Empty where only the id of the mail is known',
    link UInt16 COMMENT 'Its number in the table of the campaign, from 1; 0 where it is none of them',
    url String CODEC(ZSTD(1)),
    machine LowCardinality(String) COMMENT 'Why it was no person; empty where it may have been one',
    detail LowCardinality(String) COMMENT 'What fetched an opened mail; how somebody unsubscribed; who says so',
    after_seconds Float32 COMMENT 'Of clicks: since the mail was accepted; -1 where that is not known'
)
ENGINE = ${MergeTree}
PARTITION BY toYYYYMM(at)
ORDER BY (campaign, type, mail_id)
${ttl:at}
SETTINGS ${deduplication};
