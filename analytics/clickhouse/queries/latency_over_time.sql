-- The latency histogram per step, ascending: (beginning as Unix seconds, bucket, count).
SELECT intDiv(toUnixTimestamp(at), {step:UInt32}) * {step:UInt32} AS step, bucket, sum(count)
FROM latencies
WHERE campaign = {campaign:String}
GROUP BY step, bucket
ORDER BY step
