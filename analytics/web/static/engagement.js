// What readers did: opens, clicks, unsubscriptions, complaints. Machines are counted apart, and never among people.

import { h, keyed, setText } from "./dom.js";
import { number, percent } from "./format.js";
import { card } from "./parts.js";

/** Only there where something is counted, or somebody has left or complained. */
export function engagement() {
  const opened = fact("Opened");
  const clicked = fact("Clicked");
  const left = fact("Unsubscribed");
  const complained = fact("Complained");
  const returned = fact("Returned");
  const links = h("tbody");
  const heads = ["Link", "Readers", "Clicks", "Machines"].map((name, index) => h("th", { scope: "col", class: index ? "num" : "" }, name));
  const table = h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Table: links" }, h("table", { class: "table" }, h("thead", {}, h("tr", {}, heads)), links));
  const facts = h("ul", { class: "readers" }, [opened, clicked, left, complained].map((each) => each.node));
  const node = card("Readers", { note: "Shares of accepted mails; machines are not readers" }, facts, table);
  node.id = "readers";
  node.hidden = true;
  return { node, show: ({ engagement: found, campaign, figures }) => {
    if (!found) return;
    const accepted = figures.progress.ledger.accepted;
    const { opens, clicks } = campaign.tracking;
    node.hidden = !(opens || clicks || found.opens || found.clicks || found.unsubscribed || found.complained || found.returned);
    opened.show(found.unique_opens, accepted, machines(found.opens, found.machine_opens, "opens"), opens || found.opens > 0);
    clicked.show(found.unique_clicks, accepted, machines(found.clicks, found.machine_clicks, "clicks"), clicks || found.clicks > 0);
    left.show(found.unsubscribed, accepted, "and did not come back", true);
    complained.show(found.complained, accepted, "called it spam", true);
    if (found.returned) facts.append(returned.node);
    returned.show(found.returned, accepted, `after they were accepted, ${number(found.returned_hard)} from dead addresses`, true);
    table.hidden = found.links.length === 0;
    keyed(links, found.links.slice(0, 20), (link) => `${link.number} ${link.url}`, row);
  } };
}

const machines = (all, byMachines, what) => `${number(all)} ${what}, ${number(byMachines)} by machines`;

function fact(label) {
  const count = h("strong");
  const share = h("span", { class: "readers-share" });
  const note = h("span", { class: "note" });
  const node = h("li", {}, h("span", { class: "tile-label" }, label), h("span", {}, count, " ", share), note);
  return { node, show: (value, of, text, isCounted) => {
    setText(count, isCounted ? number(value) : "Off");
    setText(share, isCounted ? percent(of ? value / of : 0) : "");
    setText(note, isCounted ? text : "this campaign does not count it");
  } };
}

function row() {
  const cells = [h("th", { scope: "row", class: "reply" }), ...[1, 2, 3].map(() => h("td", { class: "num" }))];
  return { node: h("tr", {}, cells), update: (link) => {
    const texts = [link.url.replace(/^https?:\/\//, ""), number(link.unique_clicks), number(link.clicks), number(link.machine_clicks)];
    texts.forEach((text, index) => setText(cells[index], text));
    cells[0].title = link.url;
  } };
}
