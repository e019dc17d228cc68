// The kinds of panels: tiles that live on the stream, and tables and charts that are read again when something changed.
import { Chart } from "./chart.js";
import { h, level, say } from "./dom.js";
import { change, duration, levelOf, number, percent, shown } from "./format.js";
import { Grid, Plan } from "./plan.js";
import { Sankey } from "./sankey.js";
import { COVERED, Gauge, Stores, fullness, lastWeekday, sure } from "./stores.js";

// A tile of a store: its columns are a subset of the store's row on the stream.
class Tile {
  constructor(panel) {
    this.panel = panel;
    this.value = panel.fields[0];
    this.number = h("b", { class: "people" });
    this.of = h("span", { class: "of" });
    this.notes = h("p", { class: "interval" });
    this.limit = panel.fields.find((f) => f.role === "limit");
    this.gauge = this.limit ? new Gauge(panel.fields.find((f) => f.warn !== null)) : null;
    this.element = h("div", { class: "tile" }, h("p", { class: "big" }, this.number, this.of), this.gauge && this.gauge.element, this.notes);
  }

  show(row, now) {
    const zone = row.zone || undefined;
    say(this.number, shown(row[this.value.name], this.value.unit, zone, now));
    say(this.of, this.limit && row[this.limit.name] ? `of ${number(row[this.limit.name])}` : this._title(row[this.value.name]));
    level(this.number, this.limit ? fullness(row, this.gauge.field).level : levelOf(row[this.value.name], this.value));
    if (this.gauge) this.gauge.update(row);
    this._notes(row, zone, now);
  }

  _title(value) {
    const words = this.value.title.toLowerCase();
    return value === 1 && this.value.unit === "count" ? words.replace(/s$/, "") : words;
  }

  _notes(row, zone, now) {
    const parts = [];
    const low = this.panel.fields.find((f) => f.role === "low"), high = this.panel.fields.find((f) => f.role === "high");
    if (low && high && row[low.name] !== null) parts.push([sure(row), "ok"]);
    for (const field of this.panel.fields.slice(1)) {
      const value = row[field.name];
      if (field.role === "compare") {
        const found = change(row[this.value.name], value);
        parts.push([found ? `${{ up: "▲", down: "▼", same: "●" }[found.way]} ${found.words} · ${number(value)} ${lastWeekday(zone, now)}` : `no ${lastWeekday(zone, now)} to compare`, "ok"]);
      } else if (field.role === "note") parts.push(this._note(field, value, row));
    }
    const spans = parts.filter(Boolean).map(([words, name]) => [words, name]);
    const key = JSON.stringify(spans);
    if (this.key === key) return;
    this.key = key;
    this.notes.replaceChildren(...spans.map(([words, name]) => h("span", { "data-level": name }, words)));
  }

  _note(field, value, row) {
    const found = levelOf(value, field);
    if (field.name === "share") return value === null ? null : [fullness(row, field).words, found];
    if (field.name === "sensors_off") return [value ? `◆ ${value} of ${row.sensors} sensors off` : `all ${row.sensors} sensors report`, found];
    if (field.unit === "seconds") return value === null ? ["no data yet", "warn"] : [`data ${duration(value)} old`, found];
    if (field.unit === "share" && field.title === "Measured") return value === null ? null : [`${percent(value)} measured`, value < COVERED ? "warn" : "ok"];
    return [`${field.title.toLowerCase()} ${shown(value, field.unit)}`, found];
  }
}

class Stat extends Tile {
  update(answer, now) {
    const row = Object.fromEntries(this.panel.fields.map((f) => [f.name, answer.columns[f.name][0] ?? null]));
    this.show(row, now);
  }
}

class Table {
  constructor(panel, zone) {
    this.panel = panel;
    this.zone = zone;
    this.fields = panel.fields.filter((f) => f.role !== "key");
    this.body = h("tbody");
    const head = this.fields.map((f) => h("th", { scope: "col", class: this._kind(f) }, f.title));
    this.table = h("table", {}, h("caption", { class: "unseen" }, panel.title), h("thead", {}, h("tr", {}, head)), this.body);
    this.none = h("p", { class: "empty" }, panel.empty);
    this.scroll = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": panel.title }, this.table);
    this.element = h("div", {}, this.none, this.scroll);
  }

  _kind(field) { return field.unit === "time" ? "moment" : ["people", "count", "share", "score", "seconds"].includes(field.unit) && field.role !== "label" ? "figure" : "words"; }

  update(answer, now) {
    const rows = answer.columns[this.fields[0].name].length;
    this.none.hidden = rows > 0;
    this.scroll.hidden = rows === 0;
    const key = JSON.stringify([answer.columns, Math.floor(now / 60)]);
    if (key === this.key) return;
    this.key = key;
    const made = [];
    for (let i = 0; i < rows; i++) made.push(h("tr", {}, this.fields.map((f, n) => this._cell(f, answer.columns, i, n, now))));
    this.body.replaceChildren(...made);
  }

  _cell(field, columns, i, n, now) {
    const value = columns[field.name][i];
    const state = field.states.find(([name]) => name === value);
    let words = state ? state[1] : shown(value, field.unit, this.zone, now);
    const marks = { alarm: "▲ ", warn: "◆ ", off: "○ ", ok: "● " };
    const found = state ? state[2] : levelOf(value, field);
    if (state) words = marks[state[2]] + words;
    if (field.unit === "time" && value !== null && value <= now) words += ` · ${`${duration(now - value)} ago`.replaceAll(" ", "\u00a0")}`;
    const site = (field.name === "store" || field.name === "site") && columns.site ? columns.site[i] : null;
    const content = site ? h("a", { href: `#/store/${encodeURIComponent(site)}` }, words) : words;
    return h(n === 0 ? "th" : "td", { class: `${this._kind(field)}${state ? " stated" : ""}`, "data-level": found === "none" ? null : found, scope: n === 0 ? "row" : null, "data-role": field.role }, content);
  }
}

export function make(panel, zone, site) {
  if (panel.kind === "plan") return new Plan(panel, site);
  if (panel.kind === "sankey") return new Sankey(panel);
  if (panel.kind === "grid") return new Grid(panel);
  if (panel.kind === "stores") return new Stores(panel);
  if (panel.kind === "stat") return panel.live ? new Tile(panel) : new Stat(panel);
  return panel.kind === "table" ? new Table(panel, zone) : new Chart(panel, zone);
}
