-- Which outcome stands for each contested mail: (campaign, state, mails). The rule is that of `exact_states`.
SELECT campaign, state, count()
FROM
(
    SELECT
        campaign,
        argMax(type, (attempt, transform(type, ['in_doubt', 'deferred', 'accepted'], [0, 1, 3], 2))) AS state
    FROM events
    WHERE campaign IN {campaigns:Array(String)}
        AND (campaign, mail_id) IN (SELECT campaign, mail_id FROM contested WHERE campaign IN {campaigns:Array(String)})
    GROUP BY campaign, mail_id
)
GROUP BY campaign, state
