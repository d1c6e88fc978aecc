-- Mails that are in doubt now although their readers reacted to them: (campaign, mail_id). The rule is that of `exact_states`.
SELECT DISTINCT campaign, mail_id
FROM doubtful
WHERE (campaign, mail_id) IN
    (
        SELECT campaign, mail_id
        FROM reactions
        WHERE campaign IN (SELECT campaign FROM doubtful) AND mail_id IN (SELECT mail_id FROM doubtful)
    )
    AND (campaign, sipHash64(mail_id)) IN
    (
        SELECT campaign, mail
        FROM trails
        WHERE campaign IN (SELECT campaign FROM doubtful) AND mail IN (SELECT sipHash64(mail_id) FROM doubtful)
        GROUP BY campaign, mail
        HAVING max(attempt * 16 + weight) % 16 = 1
    )
ORDER BY campaign, mail_id
LIMIT {limit:UInt32}
