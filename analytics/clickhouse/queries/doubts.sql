-- Mails that are in doubt now, the newest doubts first, in the form of `events`. The rule is that of `exact_states`.
SELECT *
FROM
(
    SELECT
        sequence,
        toFloat64(at),
        campaign,
        type,
        mail_id,
        attempt,
        recipient,
        pool,
        provider,
        failure_class,
        code,
        enhanced,
        reply,
        latency_seconds,
        NULL
    FROM events
    WHERE campaign = {campaign:String} AND type = 'in_doubt' AND mail_id IN
    (
        SELECT mail_id
        FROM events
        WHERE campaign = {campaign:String}
            AND mail_id IN (SELECT mail_id FROM events WHERE campaign = {campaign:String} AND type = 'in_doubt')
        GROUP BY mail_id
        HAVING max(attempt * 16 + weight) % 16 = 1
    )
    ORDER BY attempt DESC, sequence DESC
    LIMIT 1 BY mail_id
)
ORDER BY sequence DESC
LIMIT {limit:UInt32}
