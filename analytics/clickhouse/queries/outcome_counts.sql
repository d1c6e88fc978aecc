-- How many outcomes: (campaign, type, whether the attempt was a later one, count).
SELECT campaign, type, tried > 1 AS later, sum(count)
FROM totals
WHERE campaign IN {campaigns:Array(String)}
GROUP BY campaign, type, later
