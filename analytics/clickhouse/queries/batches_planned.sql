-- The highest number of a batch of the campaign; 0 before the first.
SELECT max(batch) FROM campaign_facts WHERE campaign = {campaign:String} AND type = 'batch_planned'
