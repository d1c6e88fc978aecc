// One campaign: where every recipient is, how fast it goes, and what stands in the way.

import { exactRate, seconds, shortRate, timeChart } from "./charts.js";
import { h } from "./dom.js";
import { duration, fullTime, moment, NONE, number, percent, perSecond, time } from "./format.js";
import { engagement } from "./engagement.js";
import { funnel } from "./funnel.js";
import { head } from "./header.js";
import { ledgerTable } from "./ledger.js";
import { colourOf, OVER_TIME, PROVIDERS, statusOf } from "./outcomes.js";
import { loading, tile } from "./overview.js";
import { card, swatch } from "./parts.js";
import { distribution, doubts, events, failures, providers, queue } from "./tables.js";

export function campaignView(id) {
  const parts = [head(id), tiles(), rate(), ledgerTable(), funnel(), latency(), providers(), failures(), queue(), distribution(), events(), doubts(id), engagement()];
  const [header, numbers, rateCard, ledgerCard, funnelCard, latencyCard, providerCard, failureCard, queueCard, distributionCard, eventCard, doubtCard, readerCard] = parts;
  const content = h(
    "div",
    { class: "stack" },
    header.node,
    numbers.node,
    h(
      "div",
      { class: "grid" },
      h("div", { class: "span-8 no-figures" }, card("No figures", {}, h("p", { class: "nothing" }, "What has been counted appears here as soon as ClickHouse answers. The campaign itself goes on."))),
      h("div", { class: "span-8 column" }, rateCard.node, funnelCard.node),
      h("div", { class: "span-4 column" }, ledgerCard.node),
      h("div", { class: "span-6 column" }, latencyCard.node),
      h("div", { class: "span-6 column" }, providerCard.node),
      h("div", { class: "span-8 column" }, doubtCard.node, readerCard.node, failureCard.node, eventCard.node),
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
      // Without figures those that were shown stay, dimmed; where there were none, nothing is claimed.
      if (live.figures) content.dataset.figures = "shown";
      else content.dataset.figures = content.dataset.figures === "none" || !content.dataset.figures ? "none" : "old";
      for (const part of live.figures ? parts : [header, queueCard]) part.show(live);
    },
    announcement: ({ campaign, figures }) =>
      figures
        ? `${campaign.name}: ${number(figures.progress.ledger.accepted)} of ${number(figures.progress.ledger.planned)} accepted, ${perSecond(figures.progress.rate)} per second`
        : "",
    paint: () => parts.forEach((part) => part.paint?.()),
    destroy: () => parts.forEach((part) => part.destroy?.()),
  };
}

// The numbers one looks for first.

function tiles() {
  const accepted = tile("Accepted");
  const pace = tile("Rate now");
  const median = tile("Median latency");
  const slowest = tile("p99 latency");
  const left = tile("Time left");
  const node = h("div", { class: "tiles tiles-5" }, [accepted, pace, median, slowest, left].map((each) => each.node));
  return { node, show: ({ at, campaign, figures, lanes }) => {
    const { progress, latency: quantiles, mails_per_second } = figures;
    accepted.set(number(progress.ledger.accepted), `${percent(progress.ledger.accepted / progress.ledger.planned || 0)} of ${number(progress.ledger.planned)}`);
    const ended = campaign.finished_at !== null;
    if (ended) pace.set(perSecond(mails_per_second), "first attempts per second", "Average rate");
    else pace.set(perSecond(progress.rate), `per second; ${perSecond(mails_per_second)} on average`, "Rate now");
    median.set(quantiles.count ? duration(quantiles.p50) : NONE, "from queued to accepted");
    slowest.set(quantiles.count ? duration(quantiles.p99) : NONE, quantiles.count ? `p99.9 is ${duration(quantiles.p999)}` : "nothing accepted yet");
    const [value, note, label] = remaining(campaign, progress, at, lanes);
    left.set(value, note, label);
  } };
}

function remaining(campaign, progress, now, lanes) {
  if (statusOf(campaign) === "scheduled") return [duration(Math.max(0, campaign.starts_at - now)), `starts ${fullTime(campaign.starts_at)}`, "Until it starts"];
  if (campaign.finished_at !== null) return [duration(campaign.finished_at - (campaign.started_at ?? campaign.created_at)), `ended ${moment(campaign.finished_at)}`, "Took"];
  if (campaign.status === "paused") return ["Paused", campaign.pause_reason ? "by Jetpost: see above" : `${number(progress.ledger.queued + progress.ledger.retrying)} waiting`, "Time left"];
  if (progress.held) return held(progress, lanes);
  const { queued, retrying } = progress.ledger;
  if (queued === 0 && retrying > 0) return [NONE, `${number(retrying)} to be tried again`, "Time left"];
  if (progress.eta_seconds === null) return [NONE, "until mails are accepted", "Time left"];
  const more = campaign.planned === null ? "audience is still being read" : `done at about ${time(now + progress.eta_seconds)}`;
  return [duration(progress.eta_seconds), more, "Time left"];
}

/** Which lanes do not go; others may, but when all is done nobody knows. */
function held({ held: word, held_until }, lanes) {
  const due = lanes.filter((lane) => lane.waiting + lane.in_flight > 0);
  const names = due.filter((lane) => lane.held === word).map(({ provider }) => PROVIDERS[provider] ?? provider);
  const which = `${names.length < due.length ? "only " : ""}${names.join(", ")}`;
  if (word === "stopped") return ["Stopped", `${which}: by the circuit breaker, see above`, "Time left"];
  return ["Paused", `${which}${held_until === null ? "" : ` until ${time(held_until)}`}, as the provider asked`, "Time left"];
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
