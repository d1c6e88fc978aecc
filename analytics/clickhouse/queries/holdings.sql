-- What there is of EVENTS: (rows, the lowest sequence).
SELECT count(), min(sequence)
FROM
(
    SELECT sequence FROM events
    UNION ALL
    SELECT sequence FROM campaign_facts FINAL
    UNION ALL
    SELECT sequence FROM reactions
    UNION ALL
    SELECT sequence FROM rejected_events
)
