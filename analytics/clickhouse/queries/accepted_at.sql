-- When these mails were accepted, Unix seconds: (campaign, mail_id, at). The ids are pairs, in two lists.
SELECT campaign, mail_id, toFloat64(min(at))
FROM events
WHERE (campaign, mail_id) IN
    (
        SELECT name, mail
        FROM (SELECT {campaigns:Array(String)} AS names, {mails:Array(String)} AS mails)
        ARRAY JOIN names AS name, mails AS mail
    )
    AND type = 'accepted'
GROUP BY campaign, mail_id
