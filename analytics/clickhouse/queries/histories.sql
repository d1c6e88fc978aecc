-- Mails that may have more than one final outcome, by kind of history: (campaign, where they are, what was stated of each as
-- (type, whether of a later attempt), mails).
SELECT
    campaign,
    [
        'requeued', 'in_doubt', 'failed', 'accepted', 'deferred', 'expired', 'suppressed', 'failed', 'bounced', 'accepted'
    ][1 + best % 16] AS state,
    stated,
    count()
FROM
(
    SELECT campaign, max(attempt * 16 + weight) AS best, arraySort(groupArray((toString(type), attempt > 1))) AS stated
    FROM trails
    WHERE (campaign, mail) IN (SELECT campaign, mail FROM contested WHERE campaign IN {campaigns:Array(String)})
    GROUP BY campaign, mail
)
GROUP BY campaign, state, stated
