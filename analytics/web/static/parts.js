// Pieces that several views share: status, ledger bar, icons, dialogs, messages.

import { h, keyed, setAttribute, setText } from "./dom.js";
import { number, percent } from "./format.js";
import { colourOf, entries, statusOf, statusWord } from "./outcomes.js";

const ICONS = {
  pause: "M8 5v14M16 5v14",
  resume: "M7 4.5v15l12-7.5z",
  cancel: "M6 6l12 12M18 6 6 18",
  check: "M4.5 12.5l5 5L19.5 7",
  warning: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.4v.1",
  back: "M15 5l-7 7 7 7",
  sun: "M12 3v2M12 19v2M3 12h2M19 12h2M5.6 5.6 7 7M17 17l1.4 1.4M5.6 18.4 7 17M17 7l1.4-1.4M12 8a4 4 0 100 8 4 4 0 000-8z",
  moon: "M20 14.5A8.5 8.5 0 119.5 4a7 7 0 0010.5 10.5z",
  auto: "M12 3.5a8.5 8.5 0 100 17zM12 3.5a8.5 8.5 0 010 17",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
};

export const icon = (name) =>
  h("svg", { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" }, h("path", { d: ICONS[name] }));

export function statusPill() {
  const word = h("span");
  const node = h("span", { class: "pill" }, h("i", { "aria-hidden": "true" }), word);
  const update = (campaign) => {
    setAttribute(node, "data-status", statusOf(campaign));
    setText(word, statusWord(campaign));
  };
  return { node, update };
}

/** The ledger as one bar: as long as the plan, a segment for every place where a recipient can be. */
export function ledgerBar({ small = false } = {}) {
  const node = h("div", { class: small ? "bar bar-small" : "bar", role: "img" });
  const update = (ledger) => {
    const present = entries(ledger);
    keyed(node, present, ({ key }) => key, ({ key, label }) => {
      const segment = h("i", { class: `segment segment-${key.replace("_", "-")}` });
      return { node: segment, update: ({ count }) => {
        segment.style.flexGrow = count;
        segment.title = `${label}: ${number(count)}`;
      } };
    });
    const spoken = present.map(({ label, count, share }) => `${label} ${number(count)} (${percent(share)})`);
    setAttribute(node, "aria-label", spoken.join(", ") || "Nothing yet");
  };
  return { node, update };
}

export const swatch = (outcome) => {
  const node = h("i", { class: "swatch", "aria-hidden": "true" });
  node.style.background = colourOf(outcome);
  return node;
};

/** Ask before doing what cannot be undone. Resolves to whether the person agreed. */
export function confirmation({ title, text, yes, no, danger }) {
  return new Promise((resolve) => {
    const answer = (value) => () => {
      dialog.close();
      resolve(value);
    };
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "dialog-title", oncancel: answer(false), onclose: () => dialog.remove() },
      h("h2", { id: "dialog-title" }, title),
      h("p", {}, text),
      h(
        "div",
        { class: "dialog-buttons" },
        h("button", { class: "button", type: "button", onclick: answer(false), autofocus: true }, no),
        h("button", { class: danger ? "button button-danger" : "button button-main", type: "button", onclick: answer(true) }, yes),
      ),
    );
    document.body.append(dialog);
    dialog.showModal();
  });
}

export function toast(text, { bad = false } = {}) {
  const node = h("div", { class: bad ? "toast toast-bad" : "toast" }, icon(bad ? "warning" : "check"), h("span", {}, text));
  document.getElementById("toasts").append(node);
  setTimeout(() => node.remove(), bad ? 9000 : 5000);
}

export const card = (title, { note, extra, class: name = "" } = {}, ...children) =>
  h(
    "section",
    { class: `card ${name}`, "aria-label": title },
    h("header", { class: "card-head" }, h("h2", {}, title), note && h("p", { class: "note" }, note), extra),
    ...children,
  );

export const emptyState = (title, ...children) =>
  h("div", { class: "empty" }, h("div", { class: "empty-art", "aria-hidden": "true" }), h("h2", {}, title), ...children);

/** A command to copy. */
export const commandLine = (text) =>
  h(
    "div",
    { class: "command" },
    h("code", {}, h("span", { class: "prompt", "aria-hidden": "true" }, "$ "), text),
    h("button", { class: "icon-button", type: "button", "aria-label": `Copy: ${text}`, title: "Copy", onclick: async () => {
      await navigator.clipboard.writeText(text);
      toast("Copied");
    } }, icon("copy")),
  );
