// The API's reference, drawn from /openapi.json.

import { h } from "./dom.js";
import { ask } from "./api.js";
import { loading } from "./overview.js";
import { card } from "./parts.js";

const GROUPS = { campaigns: "Campaigns", live: "Live", commands: "Commands" };

export function docsView() {
  const node = h("div", {}, loading());
  ask("/openapi.json").then((document_) => node.replaceChildren(reference(document_)), (error) => node.replaceChildren(h("p", {}, error.message)));
  const unfold = (event) => {
    const link = event.target.closest("a[href^='#']");
    if (link) node.querySelector(link.hash).open = true;
  };
  node.addEventListener("click", unfold);
  return { node, title: () => "API", show() {}, announcement: () => "", destroy() {} };
}

function reference(document_) {
  const operations = Object.entries(document_.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
  );
  const [lead, ...paragraphs] = document_.info.description.trim().split("\n\n");
  return h(
    "div",
    { class: "stack" },
    h("div", { class: "page-head" }, h("div", {}, h("h1", {}, "API"), h("p", { class: "lead" }, lead)), h("a", { class: "button", href: "/openapi.json", target: "_blank", rel: "noopener" }, "openapi.json")),
    paragraphs.map((text) => h("p", { class: "prose" }, prose(text))),
    Object.entries(GROUPS).map(([tag, title]) =>
      card(title, {}, operations.filter((operation) => operation.tags?.includes(tag)).map((operation) => operationRow(operation, document_))),
    ),
    card("Documents", { note: "What the answers consist of" }, Object.entries(document_.components.schemas).sort().map(([name, schema]) => schemaRow(name, schema))),
  );
}

function operationRow(operation, document_) {
  const media = Object.values(operation.responses["200"]?.content ?? {})[0];
  const answer = media?.schema?.$ref?.split("/").pop();
  const refusals = Object.keys(operation.responses).filter((status) => status !== "200");
  return h(
    "details",
    { class: "operation" },
    h("summary", {}, h("span", { class: `method method-${operation.method}` }, operation.method.toUpperCase()), h("code", {}, operation.path), h("span", { class: "muted" }, prose(operation.description))),
    h(
      "div",
      { class: "operation-body" },
      operation.parameters?.length > 0 && fields(operation.parameters.map(({ name, in: place, schema, description }) => [name, `${place} · ${typeWord(schema)}`, description ?? ""])),
      h("p", {}, "Answers with ", answer ? h("a", { href: `#${answer}` }, answer) : "a document", ". Refusals: ", refusals.join(", ") || "none", "."),
      h("pre", {}, h("code", {}, curl(operation, document_))),
    ),
  );
}

/** Text with `code` in it. */
const prose = (text = "") => text.replaceAll("\n", " ").split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));

function curl({ method, path }) {
  const live = path.endsWith("/stream") ? " -N" : "";
  const post = method === "post" ? " -X POST -H 'X-Jetpost-Command: 1'" : "";
  return `curl${live}${post} ${location.origin}${path.replace("{id}", "spring-launch")}`;
}

function schemaRow(name, schema) {
  const properties = Object.entries(schema.properties ?? {});
  return h(
    "details",
    { class: "operation", id: name },
    h("summary", {}, h("code", {}, name), h("span", { class: "muted" }, (schema.description ?? "").split("\n")[0])),
    h("div", { class: "operation-body" }, fields(properties.map(([field, value]) => [field, typeWord(value), value.description ?? ""]))),
  );
}

const fields = (rows) =>
  h("table", { class: "table table-plain" }, h("tbody", {}, rows.map(([name, type, text]) => h("tr", {}, h("th", { scope: "row" }, h("code", {}, name)), h("td", { class: "muted" }, type), h("td", {}, prose(text))))));

function typeWord(schema = {}) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeWord).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.type === "array") return `list of ${typeWord(schema.items)}`;
  return schema.type ?? "any";
}
