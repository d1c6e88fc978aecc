-- What lies or lay in the queue: (mails, bytes as messages, bytes as queued).
SELECT sum(queued), sum(raw_bytes), sum(queued_bytes)
FROM campaign_facts FINAL
WHERE campaign = {campaign:String} AND type = 'batch_queued'
