-- How much of `outcome_counts` belongs to mails of which more was stated after what would have been their last outcome.
SELECT campaign, type, attempt > 1 AS again, count()
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
GROUP BY campaign, type, again
