// Time series with uPlot: values, 90 % band, capacity, last week. Line styles differ as well as colours.
import { h, say } from "./dom.js";
import { percent, shown, timeOf } from "./format.js";

const PALETTE = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6"];
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];
const RANGES = { usual: "usual range", expected: `${percent(0.8)} interval` };
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Columns to series: one per value column, or one per label when there is a label column.
export function seriesOf(panel, columns) {
  const time = panel.fields.find((f) => f.role === "time");
  const label = panel.fields.find((f) => f.role === "label");
  const rest = panel.fields.filter((f) => f !== time && f !== label);
  if (!label) return { times: columns[time.name], series: rest.map((f) => ({ ...f, values: columns[f.name] })) };
  const times = [...new Set(columns[time.name])];
  const at = new Map(times.map((t, i) => [t, i]));
  const found = new Map();
  columns[label.name].forEach((name, row) => {
    if (!found.has(name)) found.set(name, new Array(times.length).fill(null));
    found.get(name)[at.get(columns[time.name][row])] = columns[rest[0].name][row];
  });
  return { times, series: [...found].map(([name, values]) => ({ ...rest[0], name, title: name, values })) };
}

// A hole in time becomes a hole in the line: a missing minute is not zero.
export function withHoles(times, series, step) {
  const outTimes = [], out = series.map(() => []);
  times.forEach((t, i) => {
    const last = outTimes[outTimes.length - 1];
    if (i && t - last > step * 1.5) { outTimes.push(last + step); out.forEach((o) => o.push(null)); }
    outTimes.push(t);
    series.forEach((s, n) => out[n].push(s.values[i]));
  });
  return [outTimes, out];
}

function stacked(columns) {
  const sums = columns.map((c) => c.slice());
  for (let n = 1; n < sums.length; n++) sums[n] = sums[n].map((v, i) => (v || 0) + (sums[n - 1][i] || 0));
  return sums;
}

export class Chart {
  constructor(panel, zone) {
    this.panel = panel;
    this.zone = zone;
    this.plot = null;
    this.legend = h("p", { class: "legend", "aria-hidden": "true" });
    this.box = h("div", { class: "plot", role: "img" });
    this.table = h("tbody");
    this.details = h("details", { class: "as-table", ontoggle: () => this._fillTable() }, h("summary", {}, "as a table"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${panel.title} as a table` }, h("table", {}, this.table)));
    this.element = h("div", { class: "chart" }, this.legend, this.box, this.details);
    this.observer = new ResizeObserver(() => this._size());
    this.observer.observe(this.box);
  }

  update(answer, now) {
    this.answer = answer;
    this.now = now;
    const { times, series } = seriesOf(this.panel, answer.columns);
    const visible = series.filter((s) => s.values.some((v) => v !== null) || s.role === "value");
    const bars = this.panel.kind === "bars";
    let [x, ys] = withHoles(times, visible, answer.step_s);
    const many = bars && visible.length > 1 && visible.every((s) => s.role === "value");
    const shape = visible.map((s) => `${s.name}/${s.role}`).join() + document.documentElement.dataset.theme + this._scheme();
    this.raw = [x, ys];
    this.series = visible;
    if (many) { ys = stacked(ys).reverse(); }
    const data = [x, ...ys];
    if (this.plot && this.shape === shape) {
      this.plot.setData(data, false);
      this._range();
    } else {
      this.shape = shape;
      if (this.plot) this.plot.destroy();
      this.plot = new uPlot(this._options(many ? [...visible].reverse() : visible, bars, many), data, this.box);
      this._range();
    }
    this._legend(null);
    this._label();
    if (this.details.open) this._fillTable();
  }

  _scheme() { return matchMedia("(prefers-color-scheme: light)").matches; }

  // The last bar stands to the right of its time, and forecasts go beyond the range.
  _range() {
    const last = (this.raw[0].at(-1) || 0) + (this.panel.kind === "bars" ? this.answer.step_s : 0);
    this.plot.setScale("x", { min: this.answer.from, max: Math.max(this.answer.to + 1, last) });
  }

  _options(series, bars, many) {
    const ink = css("--muted"), grid = css("--grid"), size = this._font(), font = `${size}px system-ui, sans-serif`;
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font, labelFont: font, labelGap: 0, gap: 0.6 * size };
    const value = this.panel.fields.find((f) => f.role === "value");
    const options = {
      width: this.box.clientWidth || 300, height: this._height(), padding: [8, 2 * size, 0, 0],
      legend: { show: false }, cursor: { points: { size: 6 }, drag: { x: false, y: false } },
      tzDate: (t) => uPlot.tzDate(new Date(t * 1000), this.zone),
      scales: { x: { time: true, auto: false }, y: { range: (_, lo, hi) => [0, Math.max(hi * 1.08, 5)] } },
      axes: [
        { ...axis, size: 2.4 * size, space: 6 * size, values: (_, ticks, __, ___, step) => ticks.map((t) => timeOf(t, this.zone, step >= 86400 ? "date" : "time")) },
        { ...axis, size: 3.4 * size, label: value.unit === "people" ? "people" : value.title.toLowerCase(), labelSize: 1.6 * size, values: (_, ticks) => ticks.map((t) => (Number.isInteger(t) ? shown(t, value.unit, this.zone, this.now) : "")) },
      ],
      series: [{}, ...series.map((s, i) => this._line(s, many ? series.length - 1 - i : i, bars, series))],
      bands: this._bands(series),
      hooks: { setCursor: [(u) => this._legend(u.cursor.idx)], draw: [(u) => this._now(u)] },
    };
    return options;
  }

  _line(s, index, bars, all) {
    if (s.role === "low" || s.role === "high") return { label: s.title, stroke: "transparent", width: 0, points: { show: false } };
    if (s.role === "limit") return { label: s.title, stroke: css("--alarm"), width: 1.5, dash: [6, 4], points: { show: false } };
    if (s.role === "compare") {
      return { label: s.title, stroke: css("--compare"), width: bars ? 1.5 : 2, dash: bars ? [] : [5, 4], points: { show: false }, paths: bars ? uPlot.paths.stepped({ align: 1 }) : undefined };
    }
    const values = all.filter((o) => o.role === "value").length;
    const colour = values > 1 ? css(PALETTE[index % PALETTE.length]) : css("--accent");
    if (bars) return { label: s.title, fill: values > 1 ? colour : css("--bar"), width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.86, 60], align: 1 }) };
    return { label: s.title, stroke: colour, width: 2, dash: values > 1 ? DASHES[Math.floor(index / PALETTE.length) % 4] : [], points: { show: false } };
  }

  _bands(series) {
    const low = series.findIndex((s) => s.role === "low"), high = series.findIndex((s) => s.role === "high");
    return low < 0 || high < 0 ? [] : [{ series: [high + 1, low + 1], fill: css("--band"), dir: -1 }];
  }

  _now(u) {
    if (u.scales.x.max <= this.now + 1 || this.now < this.answer.from) return;
    const x = u.valToPos(this.now, "x", true), c = u.ctx;
    c.save();
    c.strokeStyle = css("--muted");
    c.setLineDash([2, 3]);
    c.beginPath();
    c.moveTo(x, u.bbox.top);
    c.lineTo(x, u.bbox.top + u.bbox.height);
    c.stroke();
    c.restore();
  }

  _font() { return Math.round(parseFloat(getComputedStyle(document.documentElement).fontSize) * 0.78); }

  _height() { return Math.max(120, this.box.clientHeight || 180); }

  _size() {
    if (this.plot && this.box.clientWidth) this.plot.setSize({ width: this.box.clientWidth, height: this._height() });
  }

  _last(values) {
    for (let i = values.length - 1; i >= 0; i--) if (values[i] !== null && this.raw[0][i] <= this.now) return i;
    return -1;
  }

  // What each line is, and its value under the pointer or the newest one.
  _legend(index) {
    const [x, ys] = this.raw;
    const value = (n) => { const i = index === null || index === undefined ? this._last(ys[n]) : index; return i < 0 ? null : ys[n][i]; };
    const at = index === null || index === undefined ? null : x[index];
    const items = [];
    const palette = this.series.filter((s) => s.role === "value").length > 1;
    this.series.forEach((s, n) => {
      if (s.role === "high") return;
      const high = this.series.findIndex((o) => o.role === "high");
      const words = s.role === "low"
        ? `${RANGES[this.panel.id] || `${percent(0.9)} interval`} ${shown(value(n), s.unit, this.zone, this.now)}–${shown(high < 0 ? null : value(high), s.unit, this.zone, this.now)}`
        : `${s.title} ${shown(value(n), s.unit, this.zone, this.now)}`;
      const swatch = h("i", { class: `swatch ${s.role}${this.panel.kind === "bars" && s.role === "value" ? " bar" : ""}` });
      if (palette && s.role === "value") swatch.style.setProperty("--swatch", `var(${PALETTE[n % PALETTE.length]})`);
      items.push(h("span", {}, swatch, words));
    });
    this.legend.replaceChildren(h("span", { class: "at" }, at === null ? "" : timeOf(at, this.zone)), ...items);
  }

  _label() {
    const parts = this.series.filter((s) => s.role === "value").map((s) => {
      const values = this.raw[1][this.series.indexOf(s)], i = this._last(values);
      return i < 0 ? `${s.title}: nothing measured` : `${s.title}: ${shown(values[i], s.unit, this.zone, this.now)} at ${timeOf(this.raw[0][i], this.zone)}, at most ${shown(Math.max(...values.filter((v) => v !== null)), s.unit, this.zone, this.now)}`;
    });
    this.box.setAttribute("aria-label", `${this.panel.title} ${parts.slice(0, 6).join("; ")}.`);
  }

  _fillTable() {
    if (!this.details.open || !this.raw) return;
    const [x, ys] = this.raw;
    const head = h("tr", {}, h("th", { scope: "col" }, "Time"), this.series.map((s) => h("th", { scope: "col" }, s.title)));
    const rows = x.map((t, i) => (i % Math.ceil(x.length / 200) ? null : h("tr", {}, h("th", { scope: "row" }, timeOf(t, this.zone)), this.series.map((s, n) => h("td", {}, shown(ys[n][i], s.unit, this.zone, this.now))))));
    this.table.replaceChildren(head, ...rows.filter(Boolean));
  }

  close() {
    this.observer.disconnect();
    if (this.plot) this.plot.destroy();
  }
}
