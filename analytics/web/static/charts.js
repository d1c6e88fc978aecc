// Charts over time, drawn by Chart.js in the page's own colours.

import { axisTime, compact, duration, perSecond } from "./format.js";
import { h } from "./dom.js";

const probe = h("i", { class: "visually-hidden" });
document.body.append(probe);

/** What a CSS colour is right now, in the theme at hand. */
function resolve(colour, alpha = 1) {
  probe.style.color = colour;
  const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g);
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

const font = () => ({ family: getComputedStyle(document.body).fontFamily, size: 11 });

/** A crosshair: the moment that the tooltip speaks of. */
const crosshair = {
  id: "crosshair",
  afterDatasetsDraw(chart) {
    const active = chart.tooltip?.getActiveElements?.() ?? [];
    if (!active.length) return;
    const { ctx, chartArea } = chart;
    ctx.save();
    ctx.strokeStyle = resolve("var(--muted)", 0.6);
    ctx.setLineDash([3, 3]);
    ctx.beginPath();
    ctx.moveTo(active[0].element.x, chartArea.top);
    ctx.lineTo(active[0].element.x, chartArea.bottom);
    ctx.stroke();
    ctx.restore();
  },
};

function axes({ stepSeconds, axisText, stacked }) {
  const tick = { color: resolve("var(--muted)"), font: font() };
  return {
    x: {
      type: "time",
      stacked,
      bounds: "data",
      offset: false,
      grid: { display: false },
      border: { color: resolve("var(--line-strong)") },
      ticks: { ...tick, maxRotation: 0, autoSkipPadding: 28, callback: (value) => axisTime(value, stepSeconds()) },
    },
    y: {
      stacked,
      beginAtZero: true,
      border: { display: false },
      grid: { color: resolve("var(--line)"), drawTicks: false },
      ticks: { ...tick, padding: 8, maxTicksLimit: 5, callback: (value) => axisText(value) },
    },
  };
}

function tooltip({ valueText, stepSeconds }) {
  return {
    backgroundColor: resolve("var(--tip)"),
    titleColor: resolve("var(--tip-ink)"),
    bodyColor: resolve("var(--tip-ink)"),
    titleFont: { ...font(), size: 12, weight: "600" },
    bodyFont: { ...font(), size: 12 },
    padding: 10,
    cornerRadius: 8,
    boxWidth: 9,
    boxHeight: 9,
    boxPadding: 6,
    usePointStyle: true,
    itemSort: (a, b) => a.datasetIndex - b.datasetIndex,
    filter: (item) => item.parsed.y > 0,
    callbacks: {
      title: (items) => (items.length ? axisTime(items[0].parsed.x, Math.min(stepSeconds(), 59)) : ""),
      label: (item) => ` ${item.dataset.label}  ${valueText(item.parsed.y)}`,
      labelColor: (item) => ({ borderColor: "transparent", backgroundColor: item.dataset.borderColor, borderRadius: 2 }),
      labelPointStyle: () => ({ pointStyle: "rectRounded", rotation: 0 }),
    },
  };
}

/**
 * A chart of several series over time. `series`: [{ key, label, colour, opacity }], drawn in that order, from the bottom.
 * `show(series, label)` takes { step_seconds, points: [{ at, <key>: value }] } and what a reader who cannot see it hears.
 */
export function timeChart({ series, stacked = false, axisText, valueText, valueOf }) {
  const canvas = h("canvas", { role: "img", "aria-label": "No data yet" });
  const node = h("div", { class: "chart" }, canvas);
  let step = 1;
  const stepSeconds = () => step;
  const shared = { stepSeconds, axisText, valueText, stacked };

  const datasets = series.map(({ label, colour, key, opacity }, index) => ({
    key,
    colour,
    opacity,
    label,
    data: [],
    fill: stacked && index > 0 ? "-1" : "origin",
  }));
  let chart = null;

  const colours = () => {
    for (const dataset of datasets) {
      dataset.borderColor = resolve(dataset.colour);
      dataset.backgroundColor = resolve(dataset.colour, dataset.opacity);
      dataset.pointBackgroundColor = dataset.borderColor;
    }
  };
  const options = () => ({
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    normalized: true,
    parsing: false,
    interaction: { mode: "index", intersect: false },
    layout: { padding: { top: 6, right: 4 } },
    elements: {
      line: { borderWidth: stacked ? 1.25 : 2, cubicInterpolationMode: "monotone", borderJoinStyle: "round" },
      point: { radius: 0, hoverRadius: 3.5, hitRadius: 12, borderWidth: 0 },
    },
    scales: axes(shared),
    plugins: { legend: { display: false }, tooltip: tooltip(shared) },
  });
  const paint = () => {
    if (!chart) return;
    colours();
    chart.options = options();
    chart.update("none");
  };

  return {
    node,
    paint,
    show({ step_seconds, points }, label) {
      step = step_seconds;
      for (const dataset of datasets) {
        dataset.data = points.map((point) => ({ x: point.at * 1000, y: valueOf(point, dataset.key, step_seconds) }));
      }
      for (const dataset of datasets) dataset.pointRadius = points.length < 3 ? 3 : 0;
      canvas.setAttribute("aria-label", label);
      if (chart) return chart.update("none");
      // Made only now, because it measures the space that it has on the page; and whole, because what lacks then gets other
      // colours, and moves.
      colours();
      chart = new Chart(canvas, { type: "line", data: { datasets }, options: options(), plugins: [crosshair] });
    },
    destroy: () => chart?.destroy(),
  };
}

export const shortRate = (value) => `${(value < 10 ? perSecond : compact)(value)}/s`;
export const exactRate = (value) => `${perSecond(value)}/s`;
export const seconds = (value) => (value === 0 ? "0" : duration(value));
