// Where a recipient can be: the words and colours of the ledger, in one place.

export const LEDGER = [
  { key: "accepted", label: "Accepted", hint: "The receiving server took responsibility for the mail" },
  { key: "bounced", label: "Bounced", hint: "The address or domain will never work" },
  { key: "failed", label: "Failed", hint: "Given up after retries or blocked; kept in the dead-letter queue" },
  { key: "suppressed", label: "Suppressed", hint: "On the suppression list; nothing was tried" },
  { key: "expired", label: "Expired", hint: "The deadline passed before it could be sent" },
  { key: "cancelled", label: "Cancelled", hint: "Not sent, because the campaign was cancelled" },
  { key: "in_doubt", label: "In doubt", hint: "A sender died mid-mail: it may or may not have been sent. Never resent silently" },
  { key: "retrying", label: "Retrying", hint: "Deferred by the receiving server; the next try is scheduled" },
  { key: "queued", label: "Queued", hint: "Nothing has been stated yet" },
];

/** The places that hold anyone, with how many and what share of the plan. */
export const entries = (ledger) =>
  ledger ? LEDGER.filter(({ key }) => ledger[key] > 0).map((outcome) => entry(outcome, ledger)) : [];

export const entry = (outcome, ledger) => ({
  ...outcome,
  count: ledger[outcome.key],
  share: ledger.planned ? ledger[outcome.key] / ledger.planned : 0,
});

export const OVER_TIME = [
  { key: "accepted", label: "Accepted" },
  { key: "deferred", label: "Deferred", colour: "retrying" },
  { key: "bounced", label: "Bounced" },
  { key: "failed", label: "Failed" },
  { key: "in_doubt", label: "In doubt" },
];

export const PROVIDERS = { gmail: "Gmail", microsoft: "Microsoft", yahoo: "Yahoo", apple: "Apple", other: "Other" };

export const CLASSES = {
  transient: "Transient",
  throttled: "Throttled",
  soft: "Soft bounce",
  hard: "Hard bounce",
  block: "Block",
  render: "Not renderable",
  unreadable: "Not readable",
  poison: "Poison",
  in_doubt: "May be a repeat",
};

export const EVENTS = {
  accepted: "Accepted",
  deferred: "Deferred",
  bounced: "Bounced",
  failed: "Failed",
  expired: "Expired",
  suppressed: "Suppressed",
  in_doubt: "In doubt",
  requeued: "Put back",
  doubt_resolved: "Resolved",
};

export const STATUS = {
  scheduled: "Scheduled",
  planning: "Reading audience",
  running: "Sending",
  paused: "Paused",
  cancelled: "Cancelled",
  finished: "Finished",
};

export const colourOf = (outcome) => `var(--${(outcome.colour ?? outcome.key).replace("_", "-")})`;

/** A campaign's state as people see it: one that waits for its start is scheduled, whether its audience is still being read or not. */
export const statusOf = (campaign) => (campaign.scheduled && !["paused", "cancelled", "finished"].includes(campaign.status) ? "scheduled" : campaign.status);

/** The word for a campaign's state; what was cancelled but still has mails to settle is on its way. */
export const statusWord = (campaign) => STATUS[statusOf(campaign)] ?? campaign.status;
