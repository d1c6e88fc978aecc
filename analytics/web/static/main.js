// The dashboard: which view the address asks for, the live connection beneath it, and the colours.

import { command, follow } from "./api.js";
import { campaignView } from "./campaign.js";
import { docsView } from "./docs.js";
import { h, setText } from "./dom.js";
import { time } from "./format.js";
import { loading, overviewView } from "./overview.js";
import { emptyState, icon, toast } from "./parts.js";

const ANNOUNCE_MS = 20_000;
const main = document.getElementById("main");
const banner = document.getElementById("banner");
const linkState = document.getElementById("link-state");
const announcer = document.getElementById("announcer");

let stop = () => {};
let view = null;
let health = null;
let connection = "connecting";
let announcedAt = 0;

function route(path) {
  const campaign = path.match(/^\/campaigns\/([^/]+)\/?$/);
  if (campaign) return { nav: "campaigns", topic: decodeURIComponent(campaign[1]), make: campaignView };
  if (path === "/docs") return { nav: "docs", topic: null, make: docsView };
  return { nav: "campaigns", topic: "", make: overviewView };
}

function open({ focus = false } = {}) {
  stop();
  view?.destroy();
  health = null;
  const { nav, topic, make } = route(location.pathname);
  for (const link of document.querySelectorAll("[data-nav]")) {
    if (link.dataset.nav === nav) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view = make(topic);
  main.replaceChildren(view.node);
  document.title = `${view.title()} · Jetpost`;
  linkState.hidden = topic === null;
  if (focus) main.focus({ preventScroll: true });
  scrollTo(0, 0);
  announcedAt = Date.now();
  if (topic === null) showBanner();
  stop = topic === null ? () => {} : follow(topic, { snapshot, state: connectionIs, refused });
}

function snapshot(data) {
  health = data.health;
  view.show(data);
  document.title = `${view.title()} · Jetpost`;
  showBanner();
  announce(data);
}

/** Numbers change every second: tell those who listen now and then, in one sentence. */
function announce(data) {
  if (Date.now() - announcedAt < ANNOUNCE_MS) return;
  announcedAt = Date.now();
  setText(announcer, view.announcement(data));
}

function connectionIs(state) {
  connection = state;
  showBanner();
}

const WORDS = { connecting: "Connecting", live: "Live", lost: "Connection lost", behind: "Catching up", unavailable: "No figures" };

function showBanner() {
  const troubled = health && health.message;
  const state = connection === "live" && health && health.analytics !== "live" ? health.analytics : connection;
  linkState.dataset.state = state;
  setText(linkState.lastElementChild, WORDS[state]);
  if (connection === "lost") say("lost", "Connection lost. Trying again; what you see may be out of date.");
  else if (troubled) say(health.analytics === "behind" ? "behind" : "unavailable", `${health.message}${since()}`);
  else banner.hidden = true;
}

const since = () => (health.analytics === "unavailable" && health.figures_at ? ` Figures as of ${time(health.figures_at)}.` : "");

function say(kind, text) {
  banner.dataset.kind = kind;
  if (!banner.firstChild) banner.append(icon("warning"), h("span"));
  setText(banner.lastElementChild, text);
  banner.hidden = false;
}

function refused(error) {
  connection = "live";
  health = null;
  showBanner();
  if (error.status === 401) return signIn();
  main.replaceChildren(
    emptyState("No such campaign", h("p", {}, error.message), h("p", {}, h("a", { class: "button", href: "/" }, "All campaigns"))),
  );
}

function signIn() {
  const field = h("input", { type: "password", name: "token", autocomplete: "current-password", required: true, "aria-label": "API token" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await command("/api/session", { token: field.value });
      open();
    } catch (error) {
      toast(error.message, { bad: true });
      field.select();
    }
  };
  main.replaceChildren(
    emptyState(
      "Sign in",
      h("p", {}, "This dashboard is protected. Its token is the setting ", h("code", {}, "api_token"), "."),
      h("form", { class: "sign-in", onsubmit: submit }, field, h("button", { class: "button button-main" }, "Sign in")),
    ),
  );
  field.focus();
}

// Links between views do not load the page anew.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href^='/']");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || link.target) return;
  if (link.pathname.startsWith("/openapi")) return;
  event.preventDefault();
  if (link.pathname !== location.pathname) history.pushState(null, "", link.pathname);
  main.replaceChildren(loading());
  open({ focus: true });
});
addEventListener("popstate", () => open());

// Colours: as the system has them, or as chosen.
const THEMES = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  const theme = document.documentElement.dataset.theme ?? "auto";
  themeButton.replaceChildren(icon({ auto: "auto", light: "sun", dark: "moon" }[theme]));
  themeButton.title = `Colours: ${theme === "auto" ? "automatic" : theme}`;
  themeButton.setAttribute("aria-label", themeButton.title);
  view?.paint?.();
}

themeButton.addEventListener("click", () => {
  const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % THEMES.length];
  if (next === "auto") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("jetpost-theme");
  } else {
    document.documentElement.dataset.theme = next;
    localStorage.setItem("jetpost-theme", next);
  }
  showTheme();
});
systemIsDark.addEventListener("change", showTheme);

showTheme();
open();
