// The head of a campaign's page: what it is, and what can be done with it.

import { command } from "./api.js";
import { h, keyed, setAttribute, setText } from "./dom.js";
import { ago, fullTime, moment, NONE, number, percent } from "./format.js";
import { entries } from "./outcomes.js";
import { confirmation, icon, ledgerBar, statusPill, swatch, toast } from "./parts.js";

export function head(id) {
  const title = h("h1");
  const status = statusPill();
  const meta = h("dl", { class: "meta" });
  const bar = ledgerBar();
  const legend = h("ul", { class: "legend" });
  const notice = h("p", { class: "notice", role: "status" });
  const buttons = commands(id);
  const node = h(
    "div",
    { class: "campaign-head" },
    h("a", { class: "crumb", href: "/" }, icon("back"), "Campaigns"),
    h("div", { class: "page-head" }, h("div", { class: "headline" }, title, status.node), buttons.node),
    meta,
    notice,
    h("div", { class: "hero" }, bar.node, legend),
  );
  return { node, show: ({ at, campaign, figures }) => {
    setText(title, campaign.name);
    status.update(campaign);
    buttons.update(campaign, figures?.progress.ledger);
    setText(notice, campaign.pause_note);
    notice.hidden = !campaign.pause_note;
    keyed(meta, about(campaign, at), ([word]) => word, fact);
    if (!figures) return;
    bar.update(figures.progress.ledger);
    keyed(legend, entries(figures.progress.ledger), ({ key }) => key, (outcome) => {
      const value = h("b");
      return { node: h("li", {}, swatch(outcome), outcome.label, " ", value), update: ({ share }) => setText(value, percent(share)) };
    });
  } };
}

function commands(id) {
  let name = id;
  let open = "All";
  const act = async (verb, done) => {
    try {
      toast(done(await command(`/api/campaigns/${encodeURIComponent(id)}/${verb}`)));
    } catch (error) {
      toast(error.message, { bad: true });
    }
  };
  const pause = button("pause", "Pause", async () => {
    const sure = await confirmation({
      title: `Pause “${name}”?`,
      text: "Senders finish the mails that they hold, then wait. Nothing is lost, and you can go on at any time. A deadline keeps running.",
      yes: "Pause",
      no: "Keep sending",
    });
    if (sure) await act("pause", () => "Paused. Nothing more is sent until you resume.");
  });
  const resume = button("resume", "Resume", () => act("resume", () => "Sending again."), "button-main");
  const cancel = button("cancel", "Cancel", async () => {
    const sure = await confirmation({
      title: `Cancel “${name}”?`,
      text: `${open} mails that have not been sent will never be sent. What was sent stays sent. This cannot be undone.`,
      yes: "Cancel campaign",
      no: "Keep campaign",
      danger: true,
    });
    if (sure) await act("cancel", ({ removed }) => `Cancelled. ${number(removed)} mails were taken out of the queue.`);
  });
  const update = (campaign, ledger) => {
    const sending = campaign.status === "planning" || campaign.status === "running";
    name = campaign.name;
    if (ledger) open = number(ledger.queued + ledger.retrying);
    pause.hidden = !sending;
    resume.hidden = campaign.status !== "paused";
    cancel.hidden = !sending && campaign.status !== "paused";
  };
  return { node: h("div", { class: "buttons" }, pause, resume, cancel), update };
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
  const facts = [["Subject", campaign.subject || NONE], [campaign.pools.length > 1 ? "Pools" : "Pool", campaign.pools.join(", ")]];
  if (campaign.starts_at && !campaign.started_at) facts.push(["Starts", moment(campaign.starts_at), fullTime(campaign.starts_at)]);
  if (campaign.started_at) facts.push(["Started", `${moment(campaign.started_at)} (${ago(campaign.started_at, now)})`, fullTime(campaign.started_at)]);
  if (campaign.created_at) facts.push([campaign.starts_at ? "Planned" : "Started", `${moment(campaign.created_at)} (${ago(campaign.created_at, now)})`, fullTime(campaign.created_at)]);
  if (campaign.deadline) facts.push(["Deadline", moment(campaign.deadline), fullTime(campaign.deadline)]);
  if (campaign.priority !== "normal" || campaign.weight !== 1) facts.push(["Priority", campaign.weight === 1 ? campaign.priority : `${campaign.priority}, weight ${campaign.weight}`]);
  facts.push(["If in doubt", campaign.policy === "at_most_once" ? "Never send twice" : "Send again"]);
  if (campaign.duplicates) facts.push(["Duplicates left out", number(campaign.duplicates)]);
  if (campaign.rejected) facts.push(["Unusable rows", number(campaign.rejected)]);
  return facts;
}
