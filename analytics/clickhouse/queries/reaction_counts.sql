-- Reactions to a campaign but for clicks: (type, how many, of how many mails, by machines, of how many mails by people).
-- Of an unsubscription and what takes it back the later one counts.
SELECT
    type,
    count(),
    uniqExact(mail_id),
    countIf(machine != ''),
    uniqExactIf(mail_id, machine = '')
FROM reactions
WHERE campaign = {campaign:String} AND type IN ('delivered', 'opened', 'complained')
GROUP BY type

UNION ALL

SELECT last, count(), count(), 0, count()
FROM
(
    SELECT argMax(type, sequence) AS last
    FROM reactions
    WHERE campaign = {campaign:String} AND type IN ('unsubscribed', 'resubscribed')
    GROUP BY mail_id
)
GROUP BY last
