-- Which outcome stands for each mail: (state, mails). The highest attempt decides; of one attempt, what is known decides
-- over in_doubt, and accepted over everything.
SELECT state, count()
FROM
(
    SELECT argMax(type, (attempt, transform(type, ['in_doubt', 'deferred', 'accepted'], [0, 1, 3], 2))) AS state
    FROM events
    WHERE campaign = {campaign:String}
    GROUP BY mail_id
    SETTINGS optimize_aggregation_in_order = 1
)
GROUP BY state
