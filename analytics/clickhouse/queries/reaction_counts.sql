-- Reactions to a campaign but for clicks: (type, how many, of how many mails, by machines, of how many mails by people). What was
-- stated twice counts once. Of an unsubscription and what takes it back the later one counts. Mails that came back are counted
-- by the gravest that was told of them: `returned`, and again as `returned_hard` where the address is dead.
SELECT
    type,
    uniqExact(key),
    uniqExact(sipHash64(mail_id)),
    uniqExactIf(key, machine != ''),
    uniqExactIf(sipHash64(mail_id), machine = '')
FROM reactions
WHERE campaign = {campaign:String} AND type IN ('delivered', 'opened', 'complained', 'returned')
GROUP BY type

UNION ALL

SELECT 'returned_hard', uniqExact(key), uniqExact(sipHash64(mail_id)), 0, uniqExact(sipHash64(mail_id))
FROM reactions
WHERE campaign = {campaign:String} AND type = 'returned' AND kind = 'hard'

UNION ALL

SELECT last, count(), count(), 0, count()
FROM
(
    SELECT argMax(type, (at, sequence)) AS last
    FROM reactions
    WHERE campaign = {campaign:String} AND type IN ('unsubscribed', 'resubscribed')
    GROUP BY mail_id
)
GROUP BY last
