// One campaign: where every recipient is, how fast it goes, and what stands in the way.

import { command } from "./api.js";
import { exactRate, seconds, shortRate, timeChart } from "./charts.js";
import { h, keyed, setAttribute, setText } from "./dom.js";
import { ago, bytes, compact, duration, fullTime, moment, NONE, number, percent, perSecond, ratio, time } from "./format.js";
import { funnel } from "./funnel.js";
import { ledgerTable } from "./ledger.js";
import { CLASSES, colourOf, entries, EVENTS, OVER_TIME, PROVIDERS } from "./outcomes.js";
import { loading, tile } from "./overview.js";
import { card, confirmation, icon, ledgerBar, statusPill, swatch, toast } from "./parts.js";

export function campaignView(id) {
  const parts = [head(id), tiles(), rate(), ledgerTable(), funnel(), latency(), providers(), failures(), queue(), distribution(), events()];
  const [header, numbers, rateCard, ledgerCard, funnelCard, latencyCard, providerCard, failureCard, queueCard, distributionCard, eventCard] = parts;
  const content = h(
    "div",
    { class: "stack" },
    header.node,
    numbers.node,
    h(
      "div",
      { class: "grid" },
      h("div", { class: "span-8 column" }, rateCard.node, funnelCard.node),
      h("div", { class: "span-4 column" }, ledgerCard.node),
      h("div", { class: "span-6 column" }, latencyCard.node),
      h("div", { class: "span-6 column" }, providerCard.node),
      h("div", { class: "span-8 column" }, failureCard.node, eventCard.node),
      h("div", { class: "span-4 column column-short" }, queueCard.node, distributionCard.node),
    ),
  );
  const node = h("div", {}, loading());
  let name = id;
  return {
    node,
    title: () => name,
    show(live) {
      name = live.campaign.name;
      if (node.firstElementChild !== content) node.replaceChildren(content);
      for (const part of parts) part.show(live);
    },
    announcement: ({ campaign, figures }) =>
      figures
        ? `${campaign.name}: ${number(figures.progress.ledger.accepted)} of ${number(figures.progress.ledger.planned)} accepted, ${perSecond(figures.progress.rate)} per second`
        : "",
    paint: () => parts.forEach((part) => part.paint?.()),
    destroy: () => parts.forEach((part) => part.destroy?.()),
  };
}

// Header: what it is, and what can be done with it.

function head(id) {
  const title = h("h1");
  const status = statusPill();
  const meta = h("dl", { class: "meta" });
  const bar = ledgerBar();
  const legend = h("ul", { class: "legend" });
  const act = async (verb, done) => {
    try {
      const answer = await command(`/api/campaigns/${encodeURIComponent(id)}/${verb}`);
      toast(done(answer));
    } catch (error) {
      toast(error.message, { bad: true });
    }
  };
  const pause = button("pause", "Pause", async () => {
    const sure = await confirmation({
      title: `Pause “${title.textContent}”?`,
      text: "Senders finish the mails that they hold, then wait. Nothing is lost, and you can go on at any time. A deadline keeps running.",
      yes: "Pause",
      no: "Keep sending",
    });
    if (sure) await act("pause", () => "Paused. Nothing more is sent until you resume.");
  });
  const resume = button("resume", "Resume", () => act("resume", () => "Sending again."), "button-main");
  const cancel = button("cancel", "Cancel", async () => {
    const sure = await confirmation({
      title: `Cancel “${title.textContent}”?`,
      text: `${cancel.dataset.open} mails that have not been sent will never be sent. What was sent stays sent. This cannot be undone.`,
      yes: "Cancel campaign",
      no: "Keep campaign",
      danger: true,
    });
    if (sure) await act("cancel", ({ removed }) => `Cancelled. ${number(removed)} mails were taken out of the queue.`);
  });
  const node = h(
    "div",
    { class: "campaign-head" },
    h("a", { class: "crumb", href: "/" }, icon("back"), "Campaigns"),
    h("div", { class: "page-head" }, h("div", { class: "headline" }, title, status.node), h("div", { class: "buttons" }, pause, resume, cancel)),
    meta,
    h("div", { class: "hero" }, bar.node, legend),
  );
  return { node, show: ({ at, campaign, figures }) => {
    setText(title, campaign.name);
    status.update(campaign);
    keyed(meta, about(campaign, at), ([word]) => word, () => fact());
    const open = campaign.status === "planning" || campaign.status === "running";
    pause.hidden = !open;
    resume.hidden = campaign.status !== "paused";
    cancel.hidden = !(open || campaign.status === "paused");
    const ledger = figures?.progress.ledger;
    cancel.dataset.open = ledger ? number(ledger.queued + ledger.retrying) : "All";
    bar.update(ledger);
    keyed(legend, entries(ledger), ({ key }) => key, (outcome) => {
      const value = h("b");
      return { node: h("li", {}, swatch(outcome), outcome.label, " ", value), update: ({ share }) => setText(value, percent(share)) };
    });
  } };
}

const button = (symbol, label, onclick, name = "") => h("button", { class: `button ${name}`, type: "button", onclick }, icon(symbol), label);

function fact() {
  const word = h("dt");
  const value = h("dd");
  return { node: h("div", {}, word, value), update: ([name, text, title]) => {
    setText(word, name);
    setText(value, text);
    setAttribute(value, "title", title ?? null);
  } };
}

function about(campaign, now) {
  const facts = [["Subject", campaign.subject || NONE], ["Pool", campaign.pool]];
  if (campaign.created_at) facts.push(["Started", `${moment(campaign.created_at)} (${ago(campaign.created_at, now)})`, fullTime(campaign.created_at)]);
  if (campaign.deadline) facts.push(["Deadline", moment(campaign.deadline), fullTime(campaign.deadline)]);
  facts.push(["If in doubt", campaign.policy === "at_most_once" ? "Never send twice" : "Send again"]);
  if (campaign.duplicates) facts.push(["Duplicates left out", number(campaign.duplicates)]);
  if (campaign.rejected) facts.push(["Unusable rows", number(campaign.rejected)]);
  return facts;
}

// The numbers one looks for first.

function tiles() {
  const accepted = tile("Accepted");
  const pace = tile("Rate now");
  const median = tile("Median latency");
  const slowest = tile("p99 latency");
  const left = tile("Time left");
  const node = h("div", { class: "tiles tiles-5" }, [accepted, pace, median, slowest, left].map((each) => each.node));
  return { node, show: ({ at, campaign, figures }) => {
    if (!figures) return [accepted, pace, median, slowest, left].forEach((each) => each.set(NONE, "waiting for figures"));
    const { progress, latency: quantiles, mails_per_second } = figures;
    accepted.set(number(progress.ledger.accepted), `${percent(progress.ledger.accepted / progress.ledger.planned || 0)} of ${number(progress.ledger.planned)}`);
    const ended = campaign.finished_at !== null;
    if (ended) pace.set(perSecond(mails_per_second), "first attempts per second", "Average rate");
    else pace.set(perSecond(progress.rate), `per second; ${perSecond(mails_per_second)} on average`, "Rate now");
    median.set(quantiles.count ? duration(quantiles.p50) : NONE, "from queued to accepted");
    slowest.set(quantiles.count ? duration(quantiles.p99) : NONE, quantiles.count ? `p99.9 is ${duration(quantiles.p999)}` : "nothing accepted yet");
    const [value, note, label] = remaining(campaign, progress, at);
    left.set(value, note, label);
  } };
}

function remaining(campaign, progress, now) {
  if (campaign.finished_at !== null) return [duration(campaign.finished_at - campaign.created_at), `ended ${moment(campaign.finished_at)}`, "Took"];
  if (campaign.status === "paused") return ["Paused", `${number(progress.ledger.queued + progress.ledger.retrying)} waiting`, "Time left"];
  if (progress.eta_seconds === null) return [NONE, "until mails are accepted", "Time left"];
  const more = campaign.planned === null ? "audience is still being read" : `done at about ${time(now + progress.eta_seconds)}`;
  return [duration(progress.eta_seconds), more, "Time left"];
}

// Charts.

function legendOf(outcomes) {
  return h("ul", { class: "legend" }, outcomes.map((outcome) => h("li", {}, swatch(outcome), outcome.label)));
}

function rate() {
  const series = OVER_TIME.map((outcome) => ({ ...outcome, colour: colourOf(outcome), opacity: outcome.key === "accepted" ? 0.3 : 0.75 }));
  const chart = timeChart({ series, stacked: true, axisText: shortRate, valueText: exactRate, valueOf: (point, key, step) => point[key] / step });
  const node = card("Outcomes per second", { extra: legendOf(OVER_TIME) }, chart.node);
  return { node, paint: chart.paint, destroy: chart.destroy, show: ({ rate: data, figures }) => {
    if (data) chart.show(data, `Outcomes per second over time, now ${perSecond(figures?.progress.rate ?? 0)}`);
  } };
}

const QUANTILES = [
  { key: "p99", label: "p99", colour: "var(--accent-soft)", opacity: 0.14 },
  { key: "p50", label: "Median", colour: "var(--accent)", opacity: 0.3 },
];

function latency() {
  const chart = timeChart({ series: QUANTILES, axisText: seconds, valueText: duration, valueOf: (point, key) => point[key] });
  const legend = h("ul", { class: "legend" }, QUANTILES.map(({ label, colour }) => {
    const mark = h("i", { class: "swatch" });
    mark.style.background = colour;
    return h("li", {}, mark, label);
  }));
  const node = card("Latency", { note: "Queued to accepted", extra: legend }, chart.node);
  return { node, paint: chart.paint, destroy: chart.destroy, show: ({ latency: data, figures }) => {
    if (data) chart.show(data, `Latency over time; median ${duration(figures.latency.p50)}, 99 in 100 within ${duration(figures.latency.p99)}`);
  } };
}

// Tables.

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

function providers() {
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

function failures() {
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

function tag(type) {
  const colour = type === "deferred" ? "retrying" : type;
  return h("span", { class: "tag" }, swatch({ key: colour }), EVENTS[type] ?? type);
}

const nothingYet = (text) => h("p", { class: "nothing" }, text);

// What lies in the queue, and how small it is.

function queue() {
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
  return { node, show: ({ figures, lanes: depths, campaign }) => {
    const sizes = figures?.sizes;
    const known = sizes && sizes.mails > 0;
    setText(raw, known ? bytes(sizes.raw_bytes) : NONE);
    setText(queued, known ? bytes(sizes.queued_bytes) : NONE);
    squeezed.style.width = known ? `max(3px, ${(100 * sizes.queued_bytes) / sizes.raw_bytes}%)` : "0";
    setText(saved, known ? `${ratio(sizes.ratio)}× smaller: ${bytes(sizes.raw_bytes / sizes.mails)} become ${bytes(sizes.queued_bytes / sizes.mails)} a mail` : "Known once the first batch is in the queue.");
    lanesTable.hidden = depths.length === 0;
    keyed(lanes, depths, (lane) => `${lane.pool} ${lane.provider}`, () =>
      textRow([["th", ""], ["td", "num"], ["td", "num"]], (lane) => [`${PROVIDERS[lane.provider] ?? lane.provider}`, compact(lane.waiting), compact(lane.in_flight)]),
    );
    setAttribute(node, "data-status", campaign.status);
  } };
}

/** How long mails took, in doubling steps. */
function distribution() {
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

function events() {
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
