-- How much of `outcome_counts` belongs to contested mails, in the same form.
SELECT campaign, type, attempt > 1 AS later, count()
FROM events
WHERE campaign IN {campaigns:Array(String)}
    AND (campaign, mail_id) IN (SELECT campaign, mail_id FROM contested WHERE campaign IN {campaigns:Array(String)})
GROUP BY campaign, type, later
