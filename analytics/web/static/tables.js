// The tables of a campaign's page: by provider, by failure, in the queue, by latency, mail by mail.

import { ask } from "./api.js";
import { h, keyed, setAttribute, setText } from "./dom.js";
import { bytes, compact, duration, moment, NONE, number, percent, perSecond, ratio, time } from "./format.js";
import { CLASSES, EVENTS, PROVIDERS } from "./outcomes.js";
import { card, ledgerBar, swatch } from "./parts.js";

const table = (columns, body) =>
  h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Table: ${columns.map(([name]) => name).filter(Boolean).join(", ")}` }, h("table", { class: "table" }, h("thead", {}, h("tr", {}, columns.map(([name, kind]) => h("th", { scope: "col", class: kind ?? "" }, name)))), body));

/** A row of a table: cells that are text, updated in place. */
function textRow(cells, texts, extra = () => {}) {
  const nodes = cells.map(([tag, name]) => h(tag, tag === "th" ? { scope: "row", class: name } : { class: name }));
  return { node: h("tr", {}, nodes), update: (item) => {
    texts(item).forEach((text, index) => text !== null && setText(nodes[index], text));
    extra(nodes, item);
  } };
}

export function providers() {
  const body = h("tbody");
  const node = card("Mailbox providers", { note: "Attempts by outcome" }, table([["Provider"], ["Outcomes"], ["Accepted", "num"], ["Deferred", "num"], ["Bounced", "num"], ["Median", "num"], ["p99", "num"]], body), nothingYet("Nothing has been tried yet."));
  return { node, show: ({ providers: rows }) => {
    setAttribute(node, "data-empty", rows.length === 0);
    const sorted = [...rows].sort((a, b) => (a.provider === "other") - (b.provider === "other") || b.accepted - a.accepted);
    keyed(body, sorted, (row) => row.provider, providerRow);
  } };
}

function providerRow() {
  const bar = ledgerBar({ small: true });
  const cells = [["th", ""], ["td", "bar-cell"], ["td", "num"], ["td", "num"], ["td", "num"], ["td", "num"], ["td", "num"]];
  const row = textRow(cells, (item) => [PROVIDERS[item.provider] ?? item.provider, null, number(item.accepted), number(item.deferred), number(item.bounced), duration(item.p50), duration(item.p99)]);
  row.node.children[1].append(bar.node);
  return { node: row.node, update: (item) => {
    row.update(item);
    const { accepted, deferred, bounced, failed, in_doubt } = item;
    bar.update({ planned: accepted + deferred + bounced + failed + in_doubt, accepted, bounced, failed, in_doubt, retrying: deferred });
  } };
}

export function failures() {
  const body = h("tbody");
  const node = card("What went wrong", { note: "Attempts by class and reply, the most frequent first" }, table([["Outcome"], ["Class"], ["Code"], ["Reply"], ["Attempts", "num"], [""]], body), nothingYet("Nothing went wrong so far."));
  return { node, show: ({ failures: rows }) => {
    setAttribute(node, "data-empty", rows.length === 0);
    const most = Math.max(1, ...rows.map(({ count }) => count));
    keyed(body, rows.slice(0, 10), (row) => `${row.outcome} ${row.failure_class} ${row.code} ${row.enhanced} ${row.reply}`, () =>
      textRow(
        [["td", ""], ["td", "nowrap"], ["td", "mono nowrap"], ["td", "reply"], ["td", "num"], ["td", "meter"]],
        (item) => [null, CLASSES[item.failure_class] ?? (item.failure_class || NONE), `${item.code || ""} ${item.enhanced}`.trim() || NONE, item.reply || NONE, number(item.count), null],
        (nodes, item) => {
          if (!nodes[0].firstChild) {
            nodes[0].append(tag(item.outcome));
            nodes[5].append(h("i"));
          }
          nodes[5].firstChild.style.width = `${(100 * item.count) / most}%`;
        },
      ),
    );
  } };
}

const COLOURS = { deferred: "retrying", requeued: "retrying", doubt_resolved: "in_doubt" };

function tag(type) {
  const colour = COLOURS[type] ?? type;
  return h("span", { class: "tag" }, swatch({ key: colour }), EVENTS[type] ?? type);
}

const nothingYet = (text) => h("p", { class: "nothing" }, text);

// Lanes that a mailbox provider or a person holds back.

const CONDITIONS = { paused: "Paused", slow: "Slowed down", set: "Set by hand" };
const limit = (rate) => (rate === null ? "no limit" : `${perSecond(rate)}/s`);

export function slowLanes() {
  const body = h("tbody");
  const node = card("Lanes", { note: "Pools that may not send to a mailbox provider as fast as usual; jetpost lanes tells more" }, table([["Lane"], [""], ["Limit now", "num"], ["Usually", "num"], ["Connections", "num"], ["Since", "num"], ["Until", "num"], ["Why"]], body));
  const cells = [["th", "nowrap"], ["td", "nowrap"], ["td", "num nowrap"], ["td", "num nowrap"], ["td", "num"], ["td", "num nowrap"], ["td", "num nowrap"], ["td", "reply"]];
  return { node, show: (lanes) => {
    node.hidden = lanes.length === 0;
    keyed(body, lanes, (lane) => `${lane.pool} ${lane.provider}`, () =>
      textRow(cells, (lane) => [
        `${lane.pool} · ${PROVIDERS[lane.provider] ?? lane.provider}`,
        CONDITIONS[lane.condition],
        limit(lane.rate),
        limit(lane.usual_rate),
        lane.connections === null ? NONE : number(lane.connections),
        lane.since === null ? NONE : moment(lane.since),
        lane.until === null ? NONE : moment(lane.until),
        lane.why ? `${lane.why.code || ""} ${lane.why.enhanced ?? ""} ${lane.why.text ?? ""}`.trim() : NONE,
      ]));
  } };
}

// What lies in the queue, and how small it is.

export function queue() {
  const raw = h("strong");
  const queued = h("strong");
  const saved = h("p", { class: "saved" });
  const squeezed = h("i", { class: "squeezed" });
  const lanes = h("tbody");
  const lanesTable = table([["Lane"], ["Waiting", "num"], ["Being sent", "num"]], lanes);
  const node = card(
    "Queue",
    { note: "Compressed with the campaign's own dictionary" },
    h("div", { class: "sizes" }, h("div", {}, h("span", {}, "As messages"), raw, h("div", { class: "size-bar" }, h("i"))), h("div", {}, h("span", {}, "In the queue"), queued, h("div", { class: "size-bar size-bar-queued" }, squeezed)), saved),
    lanesTable,
  );
  const showSizes = (sizes) => {
    const known = sizes.mails > 0;
    setText(raw, known ? bytes(sizes.raw_bytes) : NONE);
    setText(queued, known ? bytes(sizes.queued_bytes) : NONE);
    squeezed.style.width = known ? `max(3px, ${(100 * sizes.queued_bytes) / sizes.raw_bytes}%)` : "0";
    setText(saved, known ? `${ratio(sizes.ratio)}× smaller: ${bytes(sizes.raw_bytes / sizes.mails)} become ${bytes(sizes.queued_bytes / sizes.mails)} a mail` : "Known once the first batch is in the queue.");
  };
  return { node, show: ({ campaign, figures, lanes: depths }) => {
    if (figures) showSizes(figures.sizes);
    lanesTable.hidden = depths.length === 0;
    keyed(lanes, depths, (lane) => `${lane.pool} ${lane.provider}`, () =>
      textRow([["th", ""], ["td", "num"], ["td", "num"]], (lane) => [laneName(lane, campaign), compact(lane.waiting), compact(lane.in_flight)]),
    );
  } };
}

/** With its pools where the campaign has several, and what keeps mails there. */
function laneName(lane, campaign) {
  const via = campaign.pools.length > 1 ? lane.pools.join(", ") : "";
  return [PROVIDERS[lane.provider] ?? lane.provider, via, heldWord(lane)].filter(Boolean).join(" · ");
}

const heldWord = ({ held, held_until }) => (held === "paused" && held_until !== null ? `paused until ${time(held_until)}` : held);

/** How long mails took, in doubling steps. */
export function distribution() {
  const body = h("tbody");
  const node = card("How long it took", { note: "Queued to accepted" }, table([["Within"], [""], ["Mails", "num"]], body), nothingYet("Nothing has been accepted yet."));
  return { node, show: ({ figures }) => {
    const buckets = figures?.latency.buckets ?? [];
    setAttribute(node, "data-empty", buckets.length === 0);
    const most = Math.max(1, ...buckets.map(({ count }) => count));
    const total = figures?.latency.count || 1;
    keyed(body, buckets, ({ up_to_seconds }) => up_to_seconds, () =>
      textRow([["td", "nowrap"], ["td", "meter meter-wide"], ["td", "num"]], (bucket) => [duration(bucket.up_to_seconds), null, percent(bucket.count / total)], (nodes, bucket) => {
        if (!nodes[1].firstChild) nodes[1].append(h("i"));
        nodes[1].firstChild.style.width = `${(100 * bucket.count) / most}%`;
      }),
    );
  } };
}

/** Only there while somebody is in doubt; asked for anew when their number changes. */
export function doubts(id) {
  const body = h("tbody");
  const node = card("In doubt", { note: "Nobody knows whether these were sent; jetpost doubts tells what to do" }, table([["Since"], ["Recipient"], ["Provider"], ["Attempt", "num"], ["Mail"]], body));
  node.id = "doubts";
  node.hidden = true;
  let shown = 0;
  let asking = false;
  const refresh = async (count) => {
    asking = true;
    try {
      const { doubts: rows } = await ask(`/api/campaigns/${encodeURIComponent(id)}/doubts?limit=50`);
      shown = count;
      node.hidden = rows.length === 0;
      keyed(body, rows, (row) => row.sequence, () =>
        textRow(
          [["td", "nowrap muted"], ["td", "nowrap"], ["td", ""], ["td", "num"], ["td", "mono"]],
          (item) => [moment(item.at), item.recipient, PROVIDERS[item.provider] ?? item.provider, number(item.attempt), item.mail_id],
        ),
      );
    } catch {
      // The next snapshot asks again; the page says by itself when nothing answers.
    } finally {
      asking = false;
    }
  };
  return { node, show: ({ figures }) => {
    const count = figures.progress.ledger.in_doubt;
    if (count !== shown && !asking) refresh(count);
  } };
}

export function events() {
  const body = h("tbody");
  const node = card("Newest events", { note: "Mail by mail; jetpost events --follow shows all" }, table([["Time"], ["Event"], ["Recipient"], ["Provider"], ["Attempt", "num"], ["Reply"]], body), nothingYet("No events yet."));
  return { node, show: ({ events: rows }) => {
    setAttribute(node, "data-empty", rows.length === 0);
    keyed(body, rows, (row) => row.sequence, (first) => {
      const row = textRow(
        [["td", "nowrap muted"], ["td", "nowrap"], ["td", "nowrap"], ["td", ""], ["td", "num"], ["td", "reply one-line"]],
        (item) => [time(item.at), null, item.recipient, PROVIDERS[item.provider] ?? item.provider, number(item.attempt), replyOf(item)],
      );
      row.node.children[1].append(tag(first.type));
      row.node.lastChild.title = replyOf(first);
      return row;
    });
  } };
}

function replyOf(event) {
  const words = [event.code || "", event.enhanced, event.reply].filter(Boolean).join(" ");
  return event.type === "accepted" ? `${words} · after ${duration(event.latency_seconds)}`.replace(/^ · /, "") : words || NONE;
}
