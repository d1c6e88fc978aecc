// Planned → queued → attempted → accepted, with what stays behind at each step.

import { h, setAttribute, setText } from "./dom.js";
import { number, percent } from "./format.js";
import { card } from "./parts.js";

export function funnel() {
  const steps = ["Planned", "Queued", "Attempted", "Accepted"].map(step);
  const node = card("Funnel", { note: "How far recipients have come" }, h("ol", { class: "funnel" }, steps.map((each) => each.node)));
  return { node, show: ({ figures, lanes, campaign }) => {
    const counts = countsOf(figures, lanes);
    const losses = lossesOf(counts, figures, campaign);
    steps.forEach((each, index) => each.show(counts[index], counts[0], losses[index]));
  } };
}

function countsOf({ progress: { ledger }, sizes, first_attempts }, lanes) {
  // A batch says what it queued when it is complete; until then the lanes tell.
  const attempted = Math.max(first_attempts.count, ledger.accepted);
  const waiting = lanes.reduce((sum, lane) => sum + lane.waiting + lane.in_flight, 0);
  const queued = Math.min(ledger.planned, Math.max(sizes.mails, attempted + waiting));
  return [ledger.planned, queued, attempted, ledger.accepted];
}

function lossesOf([planned, queued, attempted, accepted], { progress: { ledger } }, campaign) {
  const ended = campaign.finished_at !== null;
  const unsent = ended ? "not sent" : "in the queue";
  return [
    "the whole audience",
    planned > queued ? `${number(planned - queued)} ${ended ? "not queued" : "to be rendered"}` : "all of them",
    queued > attempted ? `${number(queued - attempted)} ${unsent}` : "all of them",
    attempted > accepted ? `${number(attempted - accepted)} ${ledger.retrying ? "retrying or not accepted" : "not accepted"}` : "all of them",
  ];
}

function step(label, index) {
  const value = h("strong");
  const share = h("span", { class: "funnel-share" });
  const fill = h("i");
  const loss = h("span", { class: "funnel-loss" });
  const node = h("li", { class: `funnel-step funnel-step-${index}` }, h("span", { class: "funnel-label" }, label), h("div", { class: "between" }, value, share), h("div", { class: "funnel-bar", "aria-hidden": "true" }, fill), loss);
  return { node, show: (count, planned, lost) => {
    const part = planned ? count / planned : 0;
    setText(value, number(count));
    setText(share, percent(part));
    setText(loss, lost);
    fill.style.width = `${part * 100}%`;
    setAttribute(node, "data-full", part === 1);
  } };
}
