-- Outcomes per step, ascending: (beginning as Unix seconds, accepted, deferred, bounced, failed, in_doubt). No campaign: of all.
SELECT
    intDiv(toUnixTimestamp(at), {step:UInt32}) * {step:UInt32} AS step,
    sumIf(count, type = 'accepted'),
    sumIf(count, type = 'deferred'),
    sumIf(count, type = 'bounced'),
    sumIf(count, type = 'failed'),
    sumIf(count, type = 'in_doubt')
FROM outcomes
WHERE at >= toDateTime({since:Int64}, 'UTC') AND (campaign = {campaign:String} OR {campaign:String} = '')
GROUP BY step
ORDER BY step
