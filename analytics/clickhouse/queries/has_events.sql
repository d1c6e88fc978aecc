-- Whether there is anything of EVENTS up to a sequence.
SELECT
    (SELECT count() > 0 FROM (SELECT 1 FROM events WHERE sequence <= {until:UInt64} LIMIT 1))
    OR (SELECT count() > 0 FROM (SELECT 1 FROM campaign_facts WHERE sequence <= {until:UInt64} LIMIT 1))
    OR (SELECT count() > 0 FROM (SELECT 1 FROM reactions WHERE sequence <= {until:UInt64} LIMIT 1))
    OR (SELECT count() > 0 FROM (SELECT 1 FROM rejected_events WHERE sequence <= {until:UInt64} LIMIT 1))
