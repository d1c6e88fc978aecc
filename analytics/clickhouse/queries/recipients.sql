-- To whom these mails were: (campaign, mail_id, recipient). The ids are pairs, in two lists.
SELECT campaign, mail_id, any(recipient)
FROM events
WHERE (campaign, mail_id) IN
(
    SELECT name, mail
    FROM (SELECT {campaigns:Array(String)} AS names, {mails:Array(String)} AS mails)
    ARRAY JOIN names AS name, mails AS mail
)
GROUP BY campaign, mail_id
