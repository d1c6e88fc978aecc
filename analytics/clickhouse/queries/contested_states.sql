-- Where each mail of `contested_counts` is: (campaign, state, mails). The rule is that of `exact_states`.
SELECT campaign, [
    'requeued', 'in_doubt', 'failed', 'accepted', 'deferred', 'expired', 'suppressed', 'failed', 'bounced', 'accepted'
][1 + best % 16] AS state, count()
FROM
(
    SELECT campaign, max(attempt * 16 + weight) AS best
    FROM events
    WHERE campaign IN {campaigns:Array(String)}
        AND mail_id IN
        (
            SELECT later.mail_id
            FROM later
            INNER JOIN contested ON later.mail = contested.mail
            WHERE later.campaign IN {campaigns:Array(String)}
                AND contested.campaign IN {campaigns:Array(String)}
                AND later.attempt > contested.attempt
        )
    GROUP BY campaign, mail_id
)
GROUP BY campaign, state
