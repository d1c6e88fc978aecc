-- The latency histogram by mailbox provider: (provider, bucket, count).
SELECT provider, bucket, sum(count)
FROM latencies
WHERE campaign = {campaign:String}
GROUP BY provider, bucket
