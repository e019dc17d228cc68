// One card per store, kept and changed in place, so that focus and reading position stay where they are.
import { h, level, say } from "./dom.js";
import { change, duration, number, percent, timeOf } from "./format.js";

export const STALE_S = 180;
const path = (site) => `#/store/${encodeURIComponent(site)}`;
const WEEKDAY = { weekday: "short" };

export function lastWeekday(zone, now) {
  return `last ${new Intl.DateTimeFormat(undefined, { ...WEEKDAY, timeZone: zone }).format(new Date(now * 1000))}`;
}

// How full, as a level and as words.
export function fullness(row, field) {
  if (row.estimate === null) return { level: "none", words: row.open === false ? "closed" : "no estimate" };
  if (row.share === null) return { level: "ok", words: "no capacity set" };
  const words = percent(row.share);
  if (row.share >= field.alarm) return { level: "alarm", words: `full · ${words}` };
  if (row.share >= field.warn) return { level: "warn", words: `nearly full · ${words}` };
  return { level: "ok", words: row.open === false ? `closed · ${words}` : words };
}

export const sure = (row) => `${percent(0.9)} sure: ${number(row.low)} to ${number(row.high)}`;

// Below this share of the doors' time, sums are not to be compared without saying so.
export const COVERED = 0.95;

export const stale = (row, now) => row.last_seen !== null && now - row.last_seen > STALE_S;

// Bar of people against capacity, with the interval as a bracket; the scale ends at the capacity or at the interval.
export class Gauge {
  constructor(field) {
    this.field = field;
    this.fill = h("div", { class: "fill" });
    this.whisker = h("div", { class: "whisker" });
    this.marks = [field.warn, field.alarm].map(() => h("div", { class: "mark" }));
    this.edge = h("div", { class: "edge" });
    this.element = h("div", { class: "gauge", role: "meter", "aria-label": "People against capacity", "aria-valuemin": "0" }, this.fill, this.whisker, this.marks, this.edge);
  }

  update(row) {
    const top = Math.max(row.capacity || 0, row.high || 0, 1) * 1.04;
    const at = (v) => `${Math.min(100, (100 * v) / top).toFixed(2)}%`;
    this.fill.style.width = at(row.estimate || 0);
    this.whisker.style.left = at(row.low || 0);
    this.whisker.style.width = at((row.high || 0) - (row.low || 0));
    [this.field.warn, this.field.alarm].forEach((share, i) => { this.marks[i].style.left = at((row.capacity || 0) * share); });
    this.edge.style.left = at(row.capacity || 0);
    [...this.marks, this.edge].forEach((m) => { m.hidden = !row.capacity; });
    level(this.element, fullness(row, this.field).level);
    this.element.setAttribute("aria-valuemax", String(row.capacity || Math.ceil(top)));
    this.element.setAttribute("aria-valuenow", String(Math.round(row.estimate || 0)));
    this.element.setAttribute("aria-valuetext", row.estimate === null ? "no estimate" : `${number(row.estimate)} people${row.capacity ? ` of ${number(row.capacity)}` : ""}`);
  }
}

export function setChange(element, value, before, zone, now) {
  const found = change(value, before);
  const arrows = { up: "▲", down: "▼", same: "●" };
  say(element, found ? `${arrows[found.way]} ${found.words} · ${number(before)} ${lastWeekday(zone, now)}` : `no ${lastWeekday(zone, now)} to compare`);
}

class Card {
  constructor(panel) {
    this.field = panel.fields.find((f) => f.name === "share");
    const text = (name, kind = "span") => (this[name] = h(kind, { class: name }));
    this.name = h("a", { class: "name" });
    this.gauge = new Gauge(this.field);
    this.element = h("li", { class: "card" },
      h("h3", {}, this.name, text("state")),
      h("p", { class: "big" }, text("people", "b"), text("of"), text("clock")),
      this.gauge.element,
      text("interval", "p"),
      h("dl", {}, h("div", {}, h("dt", {}, "In today"), h("dd", {}, text("ins", "b"), text("insChange"))), h("div", {}, h("dt", {}, "Out today"), h("dd", {}, text("outs", "b"), text("outsChange")))),
      h("p", { class: "feet" }, text("alerts"), text("sensors"), text("measured"), text("age")));
  }

  update(row, now) {
    this.row = row;
    say(this.name, row.site_name);
    if (this.name.getAttribute("href") !== path(row.site)) this.name.href = path(row.site);
    const full = fullness(row, this.field);
    say(this.state, full.words);
    level(this.state, full.level);
    say(this.people, number(row.estimate));
    say(this.of, row.capacity ? `of ${number(row.capacity)}` : "people");
    say(this.interval, row.estimate === null ? "nothing measured in the last hours" : `${sure(row)}${row.over !== null && row.over >= 0.05 ? ` · ${percent(row.over)} chance it is full` : ""}`);
    this.gauge.update(row);
    say(this.ins, number(row.in_today));
    say(this.outs, number(row.out_today));
    setChange(this.insChange, row.in_today, row.in_before, row.zone, now);
    setChange(this.outsChange, row.out_today, row.out_before, row.zone, now);
    say(this.alerts, row.alerts ? `▲ ${row.alerts} ${row.alerts === 1 ? "alert" : "alerts"}` : "no alerts");
    level(this.alerts, row.alerts ? (row.worst === "critical" ? "alarm" : "warn") : "ok");
    say(this.sensors, row.sensors_off ? `◆ ${row.sensors_off} of ${row.sensors} sensors off` : `${row.sensors} ${row.sensors === 1 ? "sensor" : "sensors"} on`);
    level(this.sensors, row.sensors_off ? "warn" : "ok");
    say(this.measured, `◆ ${percent(row.share_today)} measured`);
    level(this.measured, "warn");
    this.measured.hidden = row.share_today === null || row.share_today >= COVERED;
    this.tick(now);
  }

  tick(now) {
    const { row } = this, old = stale(row, now);
    say(this.age, row.last_seen === null ? "no data yet" : `${old ? "⏸ " : ""}data ${duration(now - row.last_seen)} old`);
    say(this.clock, timeOf(now, row.zone));
    level(this.age, old ? "warn" : "ok");
    this.element.classList.toggle("old", old || row.last_seen === null);
  }
}

export class Stores {
  constructor(panel) {
    this.panel = panel;
    this.cards = new Map();
    this.sums = h("p", { class: "sums" }, "Loading…");
    this.list = h("ul", { class: "cards" });
    this.element = h("div", {}, this.sums, this.list);
    this.observer = new ResizeObserver(() => this._balance());
    this.observer.observe(this.list);
  }

  // Rows of equal length: five cards stand as three and two, not as four and one. On a wall the cards are as large as the
  // screen allows: a card wants 26 by 21 rem there.
  _balance() {
    const root = document.documentElement, rem = parseFloat(getComputedStyle(root).fontSize);
    const count = this.cards.size || 1, wide = this.list.clientWidth / rem + 0.8, high = innerHeight / rem - 6.6;
    const scale = (n) => Math.min(wide / n / 26.8, high / Math.ceil(count / n) / 21.8);
    const fit = Math.max(1, Math.floor(wide / 20.3));
    let columns = Math.ceil(count / Math.ceil(count / fit));
    if (root.classList.contains("wall")) for (let n = (columns = 1); n <= count; n++) if (scale(n) > scale(columns)) columns = n;
    this.list.style.setProperty("--columns", columns);
    this.list.style.setProperty("--scale", Math.max(0.7, scale(columns)).toFixed(3));
  }

  update(stores, now) {
    const rows = [...stores.values()].sort((a, b) => a.site_name.localeCompare(b.site_name));
    for (const [site, card] of this.cards) if (!stores.has(site)) { card.element.remove(); this.cards.delete(site); }
    rows.forEach((row, place) => {
      let card = this.cards.get(row.site);
      if (!card) this.cards.set(row.site, (card = new Card(this.panel)));
      if (this.list.children[place] !== card.element) this.list.insertBefore(card.element, this.list.children[place] || null);
      card.update(row, now);
    });
    const sum = (name) => rows.reduce((total, row) => total + (row[name] || 0), 0);
    const words = [`${rows.length} ${rows.length === 1 ? "store" : "stores"}`, `${number(sum("estimate"))} people inside`, `${number(sum("in_today"))} in today`, `${sum("alerts") || "no"} open ${sum("alerts") === 1 ? "alert" : "alerts"}`, `${sum("sensors_off") || "no"} ${sum("sensors_off") === 1 ? "sensor" : "sensors"} off`];
    say(this.sums, rows.length ? words.join(" · ") : this.panel.empty);
    this._balance();
  }

  tick(now) { for (const card of this.cards.values()) card.tick(now); }
  close() { this.observer.disconnect(); }
}
