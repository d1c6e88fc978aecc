-- The latency histogram of a campaign: (bucket, count).
SELECT bucket, sum(count)
FROM latencies
WHERE campaign = {campaign:String}
GROUP BY bucket
