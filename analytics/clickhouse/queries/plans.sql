-- What each campaign planned as of an event, and whether it was closed and not reopened since: (campaign, planned, cancelled, closed).
SELECT
    campaign,
    if(countIf(type = 'campaign_planned') > 0, sumIf(planned, type = 'campaign_planned'), sumIf(planned, type = 'batch_planned')),
    sumIf(cancelled, type = 'campaign_closed'),
    countIf(type = 'campaign_closed') > 0 AND maxIf(batch, type = 'campaign_closed') = maxIf(batch, type = 'campaign_reopened')
FROM campaign_facts FINAL
WHERE campaign IN {campaigns:Array(String)} AND sequence <= {until:UInt64}
GROUP BY campaign
