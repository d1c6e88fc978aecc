-- Where each mail is as of an event, in the order of mail ids: (mail, attempt, state). The rule is that of `exact_states`.
SELECT
    mail_id,
    intDiv(best, 16),
    [
        'requeued', 'in_doubt', 'failed', 'accepted', 'deferred', 'expired', 'suppressed', 'failed', 'bounced', 'accepted'
    ][1 + best % 16]
FROM
(
    SELECT mail_id, max(attempt * 16 + weight) AS best
    FROM events
    WHERE campaign = {campaign:String} AND mail_id > {after:String} AND sequence <= {until:UInt64}
    GROUP BY mail_id
    ORDER BY mail_id
    LIMIT {limit:UInt32}
)
ORDER BY mail_id
SETTINGS optimize_aggregation_in_order = 1
