-- Mails that are in doubt now, the newest doubts first, in the form of `events`. The rule is that of `exact_states`.
SELECT
    sequence,
    toFloat64(at),
    campaign,
    'in_doubt',
    mail_id,
    attempt,
    recipient,
    pool,
    provider,
    '',
    0,
    '',
    reply,
    0.0,
    NULL
FROM
(
    SELECT *
    FROM doubtful
    WHERE campaign = {campaign:String} AND sipHash64(mail_id) IN
    (
        SELECT mail
        FROM trails
        WHERE campaign = {campaign:String}
            AND mail IN (SELECT mail FROM contested WHERE campaign = {campaign:String})
        GROUP BY mail
        HAVING max(attempt * 16 + weight) % 16 = 1
    )
    ORDER BY attempt DESC, sequence DESC
    LIMIT 1 BY mail_id
)
ORDER BY sequence DESC
LIMIT {limit:UInt32}
