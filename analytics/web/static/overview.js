// All campaigns: what is being sent, how far each has come.

import { h, keyed, setAttribute, setText, sparkline } from "./dom.js";
import { ago, compact, duration, fullTime, moment, number, percent, perSecond } from "./format.js";
import { statusOf } from "./outcomes.js";
import { commandLine, emptyState, ledgerBar, statusPill } from "./parts.js";
import { slowLanes } from "./tables.js";

const ACTIVE = new Set(["planning", "running"]);

export function overviewView() {
  const totals = {
    active: tile("Sending now"),
    rate: tile("Rate, all campaigns"),
    accepted: tile("Accepted"),
    open: tile("Still to settle"),
  };
  const list = h("ul", { class: "campaigns" });
  const lanes = slowLanes();
  const senders = sendersNote();
  const content = h(
    "div",
    { class: "stack" },
    h("div", { class: "page-head" }, h("h1", {}, "Campaigns")),
    h("div", { class: "tiles tiles-4" }, Object.values(totals).map(({ node }) => node)),
    senders.node,
    list,
    lanes.node,
  );
  const nothing = emptyState(
    "No campaign yet",
    h("p", {}, "Write down what to send and to whom in a campaign file, then send it. It shows up here by itself."),
    commandLine("jetpost send campaign.toml"),
    h("p", { class: "note" }, "Just looking? ", h("code", {}, "jetpost demo"), " sends a whole campaign to a simulated internet."),
  );
  const node = h("div", {}, loading());

  return {
    node,
    title: () => "Campaigns",
    show(overview) {
      const shown = overview.campaigns.length ? content : nothing;
      if (node.firstElementChild !== shown) node.replaceChildren(shown);
      showTotals(totals, overview.campaigns);
      keyed(list, overview.campaigns, ({ campaign }) => campaign.id, () => campaignRow());
      lanes.show(overview.lanes ?? []);
      senders.show(overview.scaling);
      for (const child of list.jetpostChildren.values()) child.tick(overview.at);
    },
    announcement: (overview) => {
      const active = overview.campaigns.filter(({ campaign }) => ACTIVE.has(campaign.status));
      return active.map(({ campaign, progress }) => `${campaign.name}: ${percent(progress?.share_settled ?? 0)} settled`).join(". ");
    },
    destroy() {},
  };
}

/** How many senders are wanted and why, while anything is to be sent. */
function sendersNote() {
  const node = h("p", { class: "note", "aria-label": "Senders", hidden: true });
  return { node, show: (decision) => {
    node.hidden = !decision || decision.reason === "idle";
    if (!node.hidden) setText(node, `Senders: ${number(decision.alive)} at work, ${number(decision.wanted)} wanted. ${decision.why}`);
  } };
}

export const loading = () => h("div", { class: "loading", "aria-label": "Loading" }, h("i"), h("i"), h("i"));

export function tile(label, { wide } = {}) {
  const value = h("strong");
  const note = h("span", { class: "tile-note" });
  const name = h("span", { class: "tile-label" }, label);
  const node = h("div", { class: wide ? "tile tile-wide" : "tile" }, name, value, note);
  return { node, set: (text, more = "", newLabel = label) => {
    setText(name, newLabel);
    setText(value, text);
    setText(note, more);
  } };
}

function showTotals(totals, cards) {
  const sum = (pick) => cards.reduce((total, card) => total + (card.progress ? pick(card) : 0), 0);
  const active = cards.filter(({ campaign }) => ACTIVE.has(statusOf(campaign))).length;
  const paused = cards.filter(({ campaign }) => campaign.status === "paused").length;
  const rate = sum(({ progress }) => progress.rate);
  const planned = sum(({ progress }) => progress.ledger.planned);
  const accepted = sum(({ progress }) => progress.ledger.accepted);
  const retrying = sum(({ progress }) => progress.ledger.retrying);
  totals.active.set(number(active), paused ? `${number(paused)} paused` : `of ${number(cards.length)} campaigns`);
  totals.rate.set(perSecond(rate), "outcomes per second");
  totals.accepted.set(compact(accepted), `of ${compact(planned)} planned`);
  totals.open.set(compact(sum(({ progress }) => progress.ledger.queued) + retrying), `${compact(retrying)} waiting for a retry`);
}

function campaignRow() {
  const name = h("a", { class: "campaign-name" });
  const subject = h("span", { class: "campaign-subject" });
  const when = h("time");
  const status = statusPill();
  const bar = ledgerBar({ small: true });
  const share = h("strong");
  const counts = h("span", { class: "muted" });
  const rate = h("strong");
  const rateNote = h("span", { class: "muted" });
  const spark = sparkline();
  let startedAt = 0;
  const node = h(
    "li",
    { class: "campaign" },
    h("div", { class: "campaign-what" }, h("div", { class: "campaign-title" }, name, status.node), subject),
    h("div", { class: "campaign-progress" }, h("div", { class: "between" }, counts, share), bar.node),
    h("div", { class: "campaign-rate" }, spark.node, h("div", {}, rate, rateNote)),
    h("div", { class: "campaign-when" }, when),
  );
  const update = ({ campaign, progress, sparkline: values }) => {
    setAttribute(node, "data-status", statusOf(campaign));
    setAttribute(name, "href", `/campaigns/${campaign.id}`);
    setText(name, campaign.name);
    setText(subject, campaign.subject || campaign.id);
    status.update(campaign);
    startedAt = campaign.created_at ?? 0;
    setAttribute(when, "title", startedAt ? fullTime(startedAt) : null);
    bar.update(progress?.ledger);
    setText(share, progress ? percent(progress.share_settled) : "");
    setText(counts, progress ? `${number(progress.ledger.accepted)} accepted of ${number(progress.ledger.planned)}` : "Figures not available");
    spark.update(values);
    const [main, more] = pace(campaign, progress);
    setText(rate, main);
    setText(rateNote, more);
  };
  return { node, update, tick: (now) => setText(when, startedAt ? ago(startedAt, now) : "") };
}

/** Of a campaign that is being sent: how long it still takes, or what it is at where nobody can tell. */
function timeLeft(campaign, progress) {
  if (progress?.held) return progress.rate > 0 ? `a lane is ${progress.held}` : progress.held;
  if (progress?.eta_seconds) return `${duration(progress.eta_seconds)} left`;
  if (campaign.status === "planning") return "reading on";
  const { queued = 0, retrying = 0, planned = 0 } = progress?.ledger ?? {};
  if (retrying > 0 && queued === 0) return "trying again";
  return planned > 0 && queued === 0 ? "settling" : "starting";
}

/** How fast it goes, or how long it took. */
function pace(campaign, progress) {
  if (statusOf(campaign) === "scheduled") return [moment(campaign.starts_at), "starts then"];
  if (ACTIVE.has(campaign.status)) {
    return [`${perSecond(progress?.rate ?? 0)}/s`, timeLeft(campaign, progress)];
  }
  if (campaign.finished_at && campaign.created_at) {
    return [duration(campaign.finished_at - (campaign.started_at ?? campaign.created_at)), campaign.status === "finished" ? "start to end" : "until cancelled"];
  }
  return ["0/s", campaign.status === "paused" ? "paused" : "settling"];
}
