// Numbers, times and sizes in the reader's language.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumSignificantDigits: 3 });
const oneDigit = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const threeDigits = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const percentWhole = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0 });
const percentFine = new Intl.NumberFormat(undefined, { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percentFinest = new Intl.NumberFormat(undefined, { style: "percent", maximumSignificantDigits: 1 });
const clockTime = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const clockSeconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayTime = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

export const NONE = "–";

export const number = (value) => (value === null || value === undefined ? NONE : whole.format(value));
export const compact = (value) => (value < 1_000 ? whole : short).format(value);
export const perSecond = (value) => (value > 0 && value < 10 ? oneDigit : whole).format(value);
export const ratio = (value) => threeDigits.format(value);

/** A share of 0 to 1. What is not nothing never shows as 0 %, and what is not all never as 100 %. */
export function percent(share) {
  if (!Number.isFinite(share)) return NONE;
  if (share === 0 || share === 1) return percentWhole.format(share);
  if (share < 0.001) return share < 0.00005 ? `<${percentFinest.format(0.0001)}` : percentFinest.format(share);
  return percentFine.format(Math.min(share, 0.999));
}

/** Seconds as people say them: 85 ms, 1.4 s, 2 min 5 s, 1 h 20 min. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return NONE;
  if (seconds < 1) return `${whole.format(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${oneDigit.format(seconds)} s`;
  const rounded = Math.round(seconds);
  if (rounded < 3600) return pair(Math.floor(rounded / 60), "min", rounded % 60, "s");
  if (rounded < 86_400) return pair(Math.floor(rounded / 3600), "h", Math.floor((rounded % 3600) / 60), "min");
  return pair(Math.floor(rounded / 86_400), "d", Math.floor((rounded % 86_400) / 3600), "h");
}

const pair = (large, largeUnit, small, smallUnit) => `${large} ${largeUnit}${small ? ` ${small} ${smallUnit}` : ""}`;

const UNITS = ["B", "KB", "MB", "GB", "TB"];

export function bytes(value) {
  let unit = 0;
  let rest = value;
  while (rest >= 1000 && unit < UNITS.length - 1) {
    rest /= 1000;
    unit += 1;
  }
  return `${threeDigits.format(rest)} ${UNITS[unit]}`;
}

const date = (at) => new Date(at * 1000);
export const time = (at) => clockSeconds.format(date(at));
export const fullTime = (at) => full.format(date(at));

/** A moment, as short as it stays clear. */
export function moment(at) {
  if (at === null || at === undefined) return NONE;
  return date(at).toDateString() === new Date().toDateString() ? clockTime.format(date(at)) : dayTime.format(date(at));
}

const STEPS = [["day", 86_400], ["hour", 3600], ["minute", 60]];

export function ago(at, now) {
  const seconds = now - at;
  for (const [unit, length] of STEPS) if (seconds >= length) return relative.format(-Math.floor(seconds / length), unit);
  return relative.format(-Math.max(0, Math.floor(seconds)), "second");
}

/** For the time axis of a chart whose steps are `stepSeconds` long. */
export function axisTime(milliseconds, stepSeconds) {
  const at = new Date(milliseconds);
  if (stepSeconds >= 3600) return dayTime.format(at);
  return (stepSeconds >= 60 ? clockTime : clockSeconds).format(at);
}
