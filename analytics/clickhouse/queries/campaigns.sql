-- The newest campaigns that have facts, the newest first; one that is named is among them, however old. One that was closed and
-- reopened since is running.
SELECT * EXCEPT (first_at)
FROM
(
    WITH countIf(type = 'campaign_closed') > 0 AND maxIf(batch, type = 'campaign_closed') = maxIf(batch, type = 'campaign_reopened') AS closed
    SELECT
        campaign,
        anyIf(name, type = 'campaign_started'),
        anyIf(pool, type = 'campaign_started'),
        multiIf(
            closed, argMaxIf(status, batch, type = 'campaign_closed'),
            countIf(type = 'campaign_planned') > 0, 'running',
            'planning'
        ),
        if(countIf(type = 'campaign_started') > 0, toFloat64(minIf(at, type = 'campaign_started')), NULL) AS started_at,
        if(closed, toFloat64(maxIf(at, type = 'campaign_closed')), NULL),
        sumIf(duplicates, type = 'campaign_planned'),
        sumIf(rejected, type = 'campaign_planned'),
        countIf(type = 'batch_planned'),
        countIf(type = 'batch_queued'),
        min(at) AS first_at
    FROM campaign_facts FINAL
    GROUP BY campaign
    ORDER BY campaign = {also:String} DESC, first_at DESC
    LIMIT {newest:UInt32}
)
ORDER BY first_at DESC
