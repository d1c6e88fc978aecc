-- Outcomes of first attempts: (count, Unix seconds of the first, of the last).
SELECT sum(count), toFloat64(min(first_at)), toFloat64(max(last_at))
FROM totals
WHERE campaign = {campaign:String} AND tried = 1 AND type != 'doubt_resolved'
