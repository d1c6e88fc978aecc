-- The keys of what is known already of these mails, but for opens, clicks and deliveries, which may be many. The ids are pairs, in
-- two lists.
SELECT DISTINCT key
FROM reactions
WHERE type IN ('complained', 'unsubscribed', 'resubscribed', 'returned') AND (campaign, mail_id) IN
(
    SELECT name, mail
    FROM (SELECT {campaigns:Array(String)} AS names, {mails:Array(String)} AS mails)
    ARRAY JOIN names AS name, mails AS mail
)
