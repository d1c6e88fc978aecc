-- Outcomes per campaign in whole seconds from `since` up to but without `until`: (campaign, count).
SELECT campaign, sum(count)
FROM outcomes
WHERE at >= toDateTime({since:Int64}, 'UTC') AND at < toDateTime({until:Int64}, 'UTC')
    AND type NOT IN ('requeued', 'doubt_resolved')
GROUP BY campaign
