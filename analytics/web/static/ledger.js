// The ledger as a book-keeper would draw it up: every place a recipient can be, and a sum that must equal the plan.

import { h, keyed, setAttribute, setText } from "./dom.js";
import { number, percent } from "./format.js";
import { entry, LEDGER } from "./outcomes.js";
import { card, icon, swatch } from "./parts.js";

export function ledgerTable() {
  const body = h("tbody");
  const sum = h("td", { class: "num" });
  const planned = h("td", { class: "num" });
  const verdict = h("span");
  const seal = h("p", { class: "seal" }, icon("check"), verdict);
  const node = card(
    "Ledger",
    { class: "ledger", note: "Every recipient, counted once" },
    h(
      "table",
      { class: "table ledger-table", id: "ledger" },
      h("thead", { class: "visually-hidden" }, h("tr", {}, ["Where", "Recipients", "Share"].map((name) => h("th", { scope: "col" }, name)))),
      body,
      h("tfoot", {}, h("tr", { class: "sum" }, h("th", { scope: "row" }, "Sum"), sum, h("td")), h("tr", { class: "planned" }, h("th", { scope: "row" }, "Planned"), planned, h("td"))),
    ),
    seal,
  );
  return { node, show: ({ figures }) => {
    const { ledger, balanced, consistent } = figures.progress;
    keyed(body, LEDGER.map((outcome) => entry(outcome, ledger)), ({ key }) => key, row);
    setText(sum, number(LEDGER.reduce((total, { key }) => total + ledger[key], 0)));
    setText(planned, number(ledger.planned));
    const state = balanced ? "balanced" : consistent ? "adds-up" : "wrong";
    setAttribute(seal, "data-state", state);
    setText(verdict, { balanced: "Balanced: sum equals planned", "adds-up": "Adds up; closes when all are settled", wrong: "Does not add up: run jetpost reconcile" }[state]);
  } };
}

function row(outcome) {
  const recipients = h("td", { class: "num" });
  const share = h("td", { class: "num muted" });
  const node = h("tr", { title: outcome.hint, "data-outcome": outcome.key }, h("th", { scope: "row" }, h("span", { class: "tag" }, swatch(outcome), outcome.label)), recipients, share);
  return { node, update: (now) => {
    setText(recipients, number(now.count));
    setText(share, percent(now.share));
    setAttribute(node, "data-zero", now.count === 0);
  } };
}
