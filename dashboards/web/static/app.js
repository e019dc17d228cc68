// The page: which board is shown, the stream that keeps it live, and how fresh all of it is.
import { announce, h, level, say } from "./dom.js";
import { duration, timeOf } from "./format.js";
import { Refused, follow, get, useToken } from "./net.js";
import { make } from "./panels.js";
import { stale } from "./stores.js";

const $ = (id) => document.getElementById(id);
const state = { boards: [], stores: new Map(), skew: 0, read: 0, link: "connecting", trouble: false, view: null, stop: null, alerts: new Map() };
const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const now = () => Date.now() / 1000 + state.skew;

class View {
  constructor(board, site) {
    this.board = board;
    this.site = site;
    this.parts = [];
    this.asked = new AbortController();
    this.due = 0;
    this.changed = false;
    this.row = () => state.stores.get(site);
    this.zone = (this.row() || {}).zone;
    this.title = h("h1", { tabindex: "-1" });
    this.sub = h("p", { class: "sub" });
    this.grid = h("div", { class: "grid" });
    this.element = h("div", { class: `view ${board.scope}` }, h("div", { class: "head" }, this.title, this.sub, site ? this._siblings() : null), this.grid);
    for (const panel of board.panels) this._add(panel);
  }

  // The boards of a store, from one to the other.
  _siblings() {
    const boards = state.boards.filter((b) => b.scope === "store");
    const link = (b, i) => h("a", { href: `#/${i ? `on/${b.uid}` : "store"}/${encodeURIComponent(this.site)}`, "aria-current": b === this.board ? "page" : null }, b.title);
    return boards.length > 1 ? h("div", { class: "siblings", role: "group", "aria-label": "Boards of this store" }, boards.map(link)) : null;
  }

  _add(panel) {
    const part = make(panel, this.zone, this.site);
    const title = h("h2", { id: `p-${panel.id}`, title: panel.description }, panel.title);
    const section = h("section", { class: `panel ${panel.kind}`, "aria-labelledby": `p-${panel.id}`, "data-panel": panel.id }, title, part.element);
    section.style.setProperty("--w", panel.width);
    section.style.setProperty("--h", panel.height);
    this.grid.append(section);
    this.parts.push({ panel, part, section });
  }

  // Panels on the stream change at once; the others are asked again when something changed, and at their pace.
  fromStream(changedSites) {
    const row = this.row();
    if (this.site && row && !this.zone) return open();
    for (const { panel, part } of this.parts) {
      if (panel.kind === "stores") { if (state.read) part.update(state.stores, now()); }
      else if (panel.live && row) part.show(this._aged(row), now());
    }
    this._head();
    if (changedSites.some((s) => !this.site || s === this.site)) this.changed = true;
    return undefined;
  }

  _aged(row) { return { ...row, alerts: row.alerts || 0, age_s: row.last_seen === null ? null : Math.max(0, now() - row.last_seen) }; }

  _head() {
    const row = this.row();
    say(this.title, this.site ? (row ? row.site_name : this.site) : this.board.title);
    const parts = [];
    if (this.site && row) {
      parts.push(`${timeOf(now(), row.zone, "date")} ${timeOf(now(), row.zone)} in the store (${row.zone})`);
      if (row.open !== null) parts.push(row.open ? "open" : "closed");
      if (row.last_seen !== null && stale(row, now())) parts.push(`⏸ newest data ${duration(now() - row.last_seen)} old`);
    } else parts.push(this.site ? (state.read ? "this store has not reported" : "loading…") : `${this.board.description} Times are ${HERE}.`);
    say(this.sub, parts.join(" · "));
    this.element.classList.toggle("old", Boolean(this.site && row && stale(row, now())));
    const named = this.title.textContent;
    document.title = `${named} · Footstream`;
  }

  tick(at) {
    const row = this.row();
    for (const { panel, part } of this.parts) {
      if (part.tick) part.tick(at);
      else if (panel.live && row) part.show(this._aged(row), at);
    }
    this._head();
    if (document.hidden || state.link !== "open") return;
    const wait = this.changed ? Math.min(3, this.board.refresh_s) : this.board.refresh_s;
    if (at - this.due >= wait) this.load();
  }

  async load() {
    this.due = now();
    this.changed = false;
    const store = this.site ? `?store=${encodeURIComponent(this.site)}` : "";
    await Promise.all(this.parts.filter(({ panel }) => !panel.live).map((one) => this._ask(one, store)));
    this.element.dataset.loaded = "true";
  }

  async _ask({ panel, part, section }, store) {
    try {
      const answer = await get(`/api/v1/boards/${this.board.uid}/${panel.id}${store}`, this.asked.signal);
      if (this.asked.signal.aborted) return;
      part.update(answer, now());
      section.classList.remove("failed");
    } catch (error) {
      if (error instanceof Refused) askToken();
      else if (error.name !== "AbortError") section.classList.add("failed");
    }
  }

  close() {
    this.asked.abort();
    for (const { part } of this.parts) if (part.close) part.close();
  }
}

function wanted() {
  const [, kind, ...rest] = location.hash.split("/");
  if (kind === "store") return { board: state.boards.find((b) => b.scope === "store"), site: decodeURIComponent(rest.join("/")) };
  if (kind === "on") return { board: state.boards.find((b) => b.uid === rest[0] && b.scope === "store"), site: decodeURIComponent(rest.slice(1).join("/")) };
  if (kind === "board") return { board: state.boards.find((b) => b.uid === rest[0]) };
  return { board: state.boards[0] };
}

function open() {
  const { board, site } = wanted();
  if (state.view) state.view.close();
  if (!board) {
    $("main").replaceChildren(h("p", { class: "hint" }, "There is no such board. ", h("a", { href: "#/" }, "All stores")));
    return;
  }
  state.view = new View(board, site);
  $("main").replaceChildren(state.view.element);
  state.view.fromStream([]);
  state.view.load();
  for (const link of $("menu").children) {
    if (link.dataset.uid === board.uid) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
}

function menu() {
  const links = state.boards.filter((b) => b.scope !== "store").map((b, i) => h("a", { href: i ? `#/board/${b.uid}` : "#/", "data-uid": b.uid }, b.title));
  $("menu").replaceChildren(...links);
}

function heard(name, data) {
  state.skew = data.now - Date.now() / 1000;
  state.read = Math.max(state.read, data.read || 0);
  state.trouble = name === "trouble" || (state.trouble && name === "beat");
  if (name === "stores") {
    if (data.all) state.stores = new Map();
    for (const row of data.stores) state.stores.set(row.site, row);
    for (const site of data.gone) state.stores.delete(site);
    tellAlerts(data.stores);
    if (state.view) state.view.fromStream(data.stores.map((row) => row.site));
  }
  freshness();
}

// New alerts are read out, politely; the rest of the board only when the reader goes there.
function tellAlerts(rows) {
  for (const row of rows) {
    const before = state.alerts.get(row.site);
    if (before !== undefined && row.alerts > before) announce(`${row.site_name}: ${row.alerts} open ${row.alerts === 1 ? "alert" : "alerts"}`);
    state.alerts.set(row.site, row.alerts || 0);
  }
}

function freshness() {
  const lost = state.link !== "open";
  const words = lost ? (state.link === "connecting" ? "connecting…" : "reconnecting…") : state.trouble ? "store does not answer" : "live";
  const mark = lost || state.trouble ? "warn" : "ok";
  level($("link"), mark);
  say($("link-words"), words);
  const banner = $("banner"), gone = state.read && (lost || state.trouble);
  if (gone) say(banner, `${lost ? "The connection is lost, reconnecting." : "The store does not answer, trying again."} Figures are of ${timeOf(state.read, undefined, "second")}.`);
  if (banner.hidden === Boolean(gone)) { banner.hidden = !gone; announce(gone ? banner.textContent : "Live again."); }
  document.body.classList.toggle("old", Boolean(gone));
}

function askToken() {
  if (state.stop) state.stop();
  const field = h("input", { type: "password", id: "token", autocomplete: "off", required: true });
  const form = h("form", { class: "ask", onsubmit: (e) => { e.preventDefault(); useToken(field.value.trim()); start(); } },
    h("h1", {}, "This board needs a token"), h("label", { for: "token" }, "Bearer token"), field, h("button", { type: "submit" }, "Open the board"));
  $("main").replaceChildren(form);
  field.focus();
}

async function start() {
  try {
    const answer = await get("/api/v1/boards");
    state.boards = answer.boards;
    state.skew = answer.now - Date.now() / 1000;
  } catch (error) {
    if (error instanceof Refused) { askToken(); return; }
    $("main").replaceChildren(h("p", { class: "hint" }, `The server does not answer (${error.message}); trying again…`));
    setTimeout(start, 3000);
    return;
  }
  menu();
  open();
  state.stop = follow("/api/v1/live", {
    event: heard,
    state: (link) => { state.link = link; if (link === "open") state.trouble = false; if (link === "refused") askToken(); else freshness(); },
  });
}

function themes() {
  const root = document.documentElement;
  const light = matchMedia("(prefers-color-scheme: light)");
  const current = () => root.dataset.theme || (light.matches ? "light" : "dark");
  const keep = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private mode */ } };
  const paint = () => { say($("theme"), current() === "dark" ? "Light" : "Dark"); $("theme").setAttribute("aria-label", `Switch to ${current() === "dark" ? "light" : "dark"} colours`); };
  $("theme").addEventListener("click", () => { root.dataset.theme = current() === "dark" ? "light" : "dark"; keep("theme", root.dataset.theme); paint(); if (state.view) open(); });
  light.addEventListener("change", () => { paint(); if (state.view) open(); });
  const wall = () => { $("wall").setAttribute("aria-pressed", String(root.classList.contains("wall"))); };
  $("wall").addEventListener("click", () => { root.classList.toggle("wall"); keep("wall", root.classList.contains("wall") ? "1" : "0"); wall(); });
  paint();
  wall();
}

themes();
$("skip").addEventListener("click", (e) => { e.preventDefault(); $("main").focus(); });
addEventListener("hashchange", () => { open(); const title = document.querySelector("#main h1"); if (title) title.focus({ preventScroll: true }); scrollTo(0, 0); });
setInterval(() => { if (state.view) state.view.tick(now()); }, 1000);
start();
