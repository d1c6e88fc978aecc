-- ESPs repeat what they tell, for hours: what they told twice is known again by its key, and counts once (queries/…: by distinct
-- keys). And mails that were accepted and did not arrive.
ALTER TABLE reactions ${on_cluster}
    ADD COLUMN IF NOT EXISTS key UInt64 DEFAULT sequence COMMENT 'The same for facts that state the same' CODEC(ZSTD(1)),
    ADD COLUMN IF NOT EXISTS kind LowCardinality(String) COMMENT 'Of a return: hard, soft, rejected or listed',
    ADD COLUMN IF NOT EXISTS reply String COMMENT 'Of a return' CODEC(ZSTD(1));
