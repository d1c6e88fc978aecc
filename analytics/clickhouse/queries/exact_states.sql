-- Where each mail is: (state, mails). The highest attempt decides, and of one attempt the weight (events/states.py).
SELECT [
    'requeued', 'in_doubt', 'failed', 'accepted', 'deferred', 'expired', 'suppressed', 'failed', 'bounced', 'accepted'
][1 + best % 16] AS state, count()
FROM
(
    SELECT max(attempt * 16 + weight) AS best
    FROM events
    WHERE campaign = {campaign:String}
    GROUP BY mail_id
)
GROUP BY state
SETTINGS max_bytes_before_external_group_by = 2000000000
