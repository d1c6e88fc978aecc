-- Clicks by link, and a last row for all of them: (is it all, link, url, how many, by machines, mails in which a person clicked).
--
-- A click counts as a machine's if it said so (`machine`), came within `soon` seconds of the mail's acceptance, or if so many
-- links of the mail were followed around it that nobody reads so fast: scanners follow all at once. What was stated twice counts once.
WITH judged AS
(
    SELECT
        mail_id,
        link,
        url,
        machine != ''
            OR (after_seconds >= 0 AND after_seconds < {soon:Float64})
            OR uniqExact(link, url) OVER
            (
                PARTITION BY mail_id
                ORDER BY toUnixTimestamp64Milli(at)
                RANGE BETWEEN 3000 PRECEDING AND 3000 FOLLOWING
            ) >= {swept:UInt16} AS by_machine
    FROM
    (
        SELECT mail_id, link, url, machine, at, after_seconds
        FROM reactions
        WHERE campaign = {campaign:String} AND type = 'clicked'
        LIMIT 1 BY key
    )
)
SELECT grouping(link), link, url, count(), countIf(by_machine), uniqExactIf(mail_id, NOT by_machine)
FROM judged
GROUP BY GROUPING SETS ((link, url), ())
ORDER BY 1, 4 DESC
