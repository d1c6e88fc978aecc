-- The sequence of a campaign's newest event; no campaign: of all; 0 where there is none.
SELECT max(last_sequence)
FROM totals
WHERE campaign = {campaign:String} OR {campaign:String} = ''
