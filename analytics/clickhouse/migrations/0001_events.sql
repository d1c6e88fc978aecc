-- What happened to mails, one row per fact, and where its counts go as it is inserted.
--
-- ${MergeTree} and its kind become the engines of this installation (Replicated… on a cluster), ${on_cluster} the clause,
-- ${deduplication} how many inserts a table remembers by token: on the table and on every target of a view, or a repeated
-- insert would count twice there. ${ttl:column} expires rows by that column, or nothing.
--
-- Sorted by mail, because the ledger asks per mail; the order of events is their sequence in the stream.

CREATE TABLE IF NOT EXISTS events ${on_cluster}
(
    sequence UInt64 CODEC(Delta, ZSTD(1)),
    campaign LowCardinality(String),
    mail_id String CODEC(ZSTD(1)),
    attempt UInt16,
    type LowCardinality(String),
    at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    recipient String CODEC(ZSTD(1)),
    pool LowCardinality(String),
    provider LowCardinality(String),
    failure_class LowCardinality(String),
    code UInt16,
    enhanced LowCardinality(String),
    reply String CODEC(ZSTD(1)),
    pattern String CODEC(ZSTD(1)) COMMENT 'The reply with ids, addresses and numbers replaced; empty where accepted',
    latency_seconds Float32 COMMENT 'From queued to accepted; 0 where not accepted',
    retry_at DateTime64(3, 'UTC') COMMENT '1970 where no retry is scheduled',
    weight UInt8 MATERIALIZED multiIf(
        type = 'accepted', 9,
        type = 'bounced', 8,
        type = 'failed', 7,
        type = 'suppressed', 6,
        type = 'expired', 5,
        type = 'deferred', 4,
        type = 'doubt_resolved' AND failure_class = 'accepted', 3,
        type = 'doubt_resolved', 2,
        type = 'in_doubt', 1,
        0
    ) COMMENT 'Of the facts about one attempt the heaviest stands (events/states.py); queries/exact_states.sql names the states',
    INDEX by_sequence sequence TYPE minmax,
    INDEX by_recipient recipient TYPE bloom_filter(0.001)
)
ENGINE = ${MergeTree}
PARTITION BY toYYYYMM(at)
ORDER BY (campaign, mail_id, attempt)
${ttl:at}
SETTINGS ${deduplication}, index_granularity = 2048;

-- Outcomes per second: rates.
CREATE TABLE IF NOT EXISTS outcomes ${on_cluster}
(
    at DateTime('UTC') CODEC(Delta, ZSTD(1)),
    campaign LowCardinality(String),
    type LowCardinality(String),
    provider LowCardinality(String),
    pool LowCardinality(String),
    failure_class LowCardinality(String),
    later Bool COMMENT 'Whether the attempt was a later one than the first',
    count UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ${SummingMergeTree}
PARTITION BY toYYYYMM(at)
ORDER BY (at, campaign, type, provider, pool, failure_class, later)
${ttl:at}
SETTINGS ${deduplication};

CREATE MATERIALIZED VIEW IF NOT EXISTS outcomes_view ${on_cluster} TO outcomes AS
SELECT toDateTime(events.at, 'UTC') AS at, campaign, type, provider, pool, failure_class, attempt > 1 AS later, count() AS count
FROM events
GROUP BY at, campaign, type, provider, pool, failure_class, later;

-- Outcomes in all: the ledger, and what has to be known to the millisecond.
CREATE TABLE IF NOT EXISTS totals ${on_cluster}
(
    campaign LowCardinality(String),
    type LowCardinality(String),
    provider LowCardinality(String),
    pool LowCardinality(String),
    tried UInt8 COMMENT '0: nothing was tried, 1: the first attempt, 2: a later one',
    count SimpleAggregateFunction(sum, UInt64),
    first_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    last_sequence SimpleAggregateFunction(max, UInt64)
)
ENGINE = ${AggregatingMergeTree}
ORDER BY (campaign, type, provider, pool, tried)
SETTINGS ${deduplication};

CREATE MATERIALIZED VIEW IF NOT EXISTS totals_view ${on_cluster} TO totals AS
SELECT
    campaign,
    type,
    provider,
    pool,
    least(attempt, 2) AS tried,
    count() AS count,
    min(at) AS first_at,
    max(at) AS last_at,
    max(sequence) AS last_sequence
FROM events
GROUP BY campaign, type, provider, pool, tried;

-- Latency: eight buckets to each doubling, as in analytics/histogram.py.
CREATE TABLE IF NOT EXISTS latencies ${on_cluster}
(
    campaign LowCardinality(String),
    at DateTime('UTC') CODEC(Delta, ZSTD(1)) COMMENT 'The beginning of ten seconds',
    provider LowCardinality(String),
    bucket Int16,
    count UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ${SummingMergeTree}
PARTITION BY toYYYYMM(at)
ORDER BY (campaign, at, provider, bucket)
${ttl:at}
SETTINGS ${deduplication};

CREATE MATERIALIZED VIEW IF NOT EXISTS latencies_view ${on_cluster} TO latencies AS
SELECT
    campaign,
    toStartOfInterval(toDateTime(events.at, 'UTC'), INTERVAL 10 SECOND) AS at,
    provider,
    toInt16(least(160, greatest(-80, ceil(8 * log2(latency_seconds))))) AS bucket,
    count() AS count
FROM events
WHERE type = 'accepted'
GROUP BY campaign, at, provider, bucket;

-- Ways of not being accepted.
CREATE TABLE IF NOT EXISTS failures ${on_cluster}
(
    campaign LowCardinality(String),
    type LowCardinality(String),
    failure_class LowCardinality(String),
    code UInt16,
    enhanced LowCardinality(String),
    pattern String CODEC(ZSTD(1)),
    count UInt64 CODEC(T64, ZSTD(1))
)
ENGINE = ${SummingMergeTree}
ORDER BY (campaign, type, failure_class, code, enhanced, pattern)
SETTINGS ${deduplication};

CREATE MATERIALIZED VIEW IF NOT EXISTS failures_view ${on_cluster} TO failures AS
SELECT campaign, type, failure_class, code, enhanced, pattern, count() AS count
FROM events
WHERE type NOT IN ('accepted', 'expired', 'requeued', 'doubt_resolved')
GROUP BY campaign, type, failure_class, code, enhanced, pattern;

-- All that was stated of mails that were not accepted at once, so that the ledger finds the history of a few without looking
-- at all mails (queries/histories.sql), …
CREATE TABLE IF NOT EXISTS trails ${on_cluster}
(
    campaign LowCardinality(String),
    mail UInt64 COMMENT 'A hash of mail_id: several times as fast to look up',
    attempt UInt16,
    type LowCardinality(String),
    weight UInt8
)
ENGINE = ${MergeTree}
ORDER BY (campaign, mail)
SETTINGS ${deduplication};

CREATE MATERIALIZED VIEW IF NOT EXISTS trails_view ${on_cluster} TO trails AS
SELECT campaign, sipHash64(mail_id) AS mail, attempt, type, weight
FROM events
WHERE attempt > 1 OR type != 'accepted';

-- … and those few: mails that may have more than one final outcome (analytics/ledgers.py).
CREATE TABLE IF NOT EXISTS contested ${on_cluster}
(
    campaign LowCardinality(String),
    mail UInt64
)
ENGINE = ${MergeTree}
ORDER BY (campaign, mail)
SETTINGS ${deduplication};

CREATE MATERIALIZED VIEW IF NOT EXISTS contested_view ${on_cluster} TO contested AS
SELECT campaign, sipHash64(mail_id) AS mail
FROM events
WHERE type IN ('in_doubt', 'requeued', 'doubt_resolved');
