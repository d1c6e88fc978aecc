-- The newest events that match, the newest first. An empty parameter matches all.
SELECT
    sequence,
    toFloat64(at),
    campaign,
    type,
    mail_id,
    attempt,
    recipient,
    pool,
    provider,
    failure_class,
    code,
    enhanced,
    reply,
    latency_seconds,
    if(toUnixTimestamp(retry_at) = 0, NULL, toFloat64(retry_at))
FROM events
WHERE (campaign = {campaign:String} OR {campaign:String} = '')
    AND (mail_id = {mail_id:String} OR {mail_id:String} = '')
    AND (recipient = {recipient:String} OR {recipient:String} = '')
    AND (provider = {provider:String} OR {provider:String} = '')
    AND (failure_class = {failure_class:String} OR {failure_class:String} = '')
    AND (type IN {types:Array(String)} OR empty({types:Array(String)}))
    AND at >= toDateTime64({since:Float64}, 3, 'UTC')
    AND at <= toDateTime64({until:Float64}, 3, 'UTC')
    AND sequence > {after:UInt64}
    AND sequence < {before:UInt64}
ORDER BY sequence DESC
LIMIT {limit:UInt32}
