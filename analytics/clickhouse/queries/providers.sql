-- Outcomes by mailbox provider: (provider, accepted, deferred, bounced, failed, in_doubt).
SELECT
    provider,
    sumIf(count, type = 'accepted'),
    sumIf(count, type = 'deferred'),
    sumIf(count, type = 'bounced'),
    sumIf(count, type = 'failed'),
    sumIf(count, type = 'in_doubt')
FROM totals
WHERE campaign = {campaign:String}
GROUP BY provider
ORDER BY provider
