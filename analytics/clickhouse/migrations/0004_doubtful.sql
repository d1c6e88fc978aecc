-- Every statement that a mail is in doubt, which are few, so that the list of doubts need not look for them among all events
-- (queries/doubts.sql).
CREATE TABLE IF NOT EXISTS doubtful ${on_cluster}
(
    sequence UInt64,
    campaign LowCardinality(String),
    mail_id String CODEC(ZSTD(1)),
    attempt UInt16,
    at DateTime64(3, 'UTC'),
    recipient String CODEC(ZSTD(1)),
    pool LowCardinality(String),
    provider LowCardinality(String),
    reply String CODEC(ZSTD(1))
)
ENGINE = ${MergeTree}
PARTITION BY toYYYYMM(at)
ORDER BY (campaign, sequence)
${ttl:at}
SETTINGS ${deduplication};

CREATE MATERIALIZED VIEW IF NOT EXISTS doubtful_view ${on_cluster} TO doubtful AS
SELECT sequence, campaign, mail_id, attempt, at, recipient, pool, provider, reply
FROM events
WHERE type = 'in_doubt';

-- An acceptance at the first attempt belongs to a trail, too, if the attempt had been stated to be in doubt.
ALTER TABLE trails_view ${on_cluster} MODIFY QUERY
SELECT campaign, sipHash64(mail_id) AS mail, attempt, type, weight
FROM events
WHERE attempt > 1 OR type != 'accepted' OR failure_class = 'late';

-- What was stated before the views were so. What stands here twice does no harm.
INSERT INTO doubtful
SELECT sequence, campaign, mail_id, attempt, at, recipient, pool, provider, reply
FROM events
WHERE type = 'in_doubt' AND sequence NOT IN (SELECT sequence FROM doubtful);

INSERT INTO trails
SELECT campaign, sipHash64(mail_id), attempt, type, weight
FROM events
WHERE type = 'accepted' AND attempt = 1 AND failure_class != 'late'
    AND (campaign, mail_id) IN (SELECT campaign, mail_id FROM doubtful)
    AND (campaign, sipHash64(mail_id)) NOT IN (SELECT campaign, mail FROM trails WHERE type = 'accepted');

-- Most stretches of events hold accepted mails only: those that hold none of the kinds asked for need not be read.
ALTER TABLE events ${on_cluster} ADD INDEX IF NOT EXISTS by_type type TYPE set(16);
