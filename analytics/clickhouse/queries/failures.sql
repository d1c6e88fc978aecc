-- Ways of not being accepted, the most frequent first: (outcome, class, code, enhanced, reply, attempts).
SELECT type, failure_class, code, enhanced, pattern, sum(count) AS attempts
FROM failures
WHERE campaign = {campaign:String}
GROUP BY type, failure_class, code, enhanced, pattern
ORDER BY attempts DESC, type, failure_class, code, enhanced, pattern
LIMIT {limit:UInt32}
