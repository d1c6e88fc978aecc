// Small helpers over the DOM: build once, then change only what differs.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "circle", "rect", "line", "g", "polyline"]);

/** Build an element: h("p", { class: "lead", onclick }, "text", child, …). null and false children are left out. */
export function h(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Set text only where it changed, so that selections and assistive technology are left in peace. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : value);
}

/** Make `parent` show one child per item, in order, reusing children by key. `create` returns { node, update }. */
export function keyed(parent, items, keyOf, create) {
  const old = parent.jetpostChildren ?? new Map();
  const now = new Map();
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const child = old.get(key) ?? create(item);
    child.update(item);
    now.set(key, child);
    if (child.node === place) place = place.nextElementSibling;
    else parent.insertBefore(child.node, place);
  }
  for (const [key, child] of old) if (!now.has(key)) child.node.remove();
  parent.jetpostChildren = now;
}

/** A line over `values`, as SVG: for rates too small for a chart with axes. */
export function sparkline(width = 120, height = 32) {
  const area = h("path", { class: "spark-area" });
  const line = h("path", { class: "spark-line" });
  const node = h("svg", { class: "spark", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, area, line);
  const update = (values) => {
    if (values.length < 2) {
      line.setAttribute("d", `M0 ${height - 1.5}H${width}`);
      area.setAttribute("d", "");
      return;
    }
    const top = Math.max(...values, 1);
    const points = values.map((value, index) => {
      const x = (index / (values.length - 1)) * width;
      return `${x.toFixed(1)} ${(height - 1.5 - (value / top) * (height - 4)).toFixed(1)}`;
    });
    line.setAttribute("d", `M${points.join("L")}`);
    area.setAttribute("d", `M0 ${height}L${points.join("L")}L${width} ${height}Z`);
  };
  return { node, update };
}
