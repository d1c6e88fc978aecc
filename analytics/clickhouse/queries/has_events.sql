-- Whether anything was ever ingested.
SELECT
    (SELECT count() > 0 FROM events)
    OR (SELECT count() > 0 FROM campaign_facts)
    OR (SELECT count() > 0 FROM reactions)
    OR (SELECT count() > 0 FROM rejected_events)
