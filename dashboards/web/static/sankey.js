// People from place to place: where they come from on the left, where they go on the right, ribbons as wide as the people are many.
import { draw, h, say } from "./dom.js";
import { number } from "./format.js";

const GAP = 7, BAR = 10;
const TOLD = { stays: "counted by tracks", matrix: "counted by the device from edge to edge", estimate: "estimated from counts of lines and zones" };
const COLOURS = 6;

// Places by people, but who comes in stands first and who leaves last, as one reads.
function stacked(rows, side, edge) {
  const sums = new Map();
  for (const row of rows) sums.set(row[side], (sums.get(row[side]) || 0) + row.mainstat);
  const rank = (name) => (name === edge ? (edge === "Exit" ? 1 : -1) : 0);
  return [...sums].map(([name, people]) => ({ name, people })).sort((a, b) => rank(a.name) - rank(b.name) || b.people - a.people || (a.name < b.name ? -1 : 1));
}

function placed(nodes, scale) {
  let y = 0;
  for (const node of nodes) { node.y = node.at = y; node.size = Math.max(1, node.people * scale); y += node.size + GAP; }
  return new Map(nodes.map((n) => [n.name, n]));
}

const words = (row) => `${row.source} → ${row.target}: ${number(row.mainstat)} people${row.least === null ? "" : `, at least ${number(row.least)}, at most ${number(row.most)}`}`;

export class Sankey {
  constructor(panel) {
    this.panel = panel;
    this.legend = h("p", { class: "legend" });
    this.box = h("div", { class: "sankey" });
    this.none = h("p", { class: "empty" }, panel.empty);
    this.body = h("tbody");
    this.details = h("details", { class: "as-table" }, h("summary", {}, "as a table"),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${panel.title} as a table` }, h("table", {}, h("thead", {}, h("tr", {}, ["From", "To", "People"].map((t, i) => h("th", { scope: "col", class: i > 1 ? "figure" : null }, t)))), this.body)));
    this.element = h("div", { class: "chart" }, this.none, this.legend, this.box, this.details);
    this.observer = new ResizeObserver(() => this._draw());
    this.observer.observe(this.box);
    this.rows = [];
  }

  close() { this.observer.disconnect(); }

  update(answer) {
    const c = answer.columns;
    const key = JSON.stringify(c);
    if (key === this.key) return;
    this.key = key;
    this.rows = c.source.map((_, i) => Object.fromEntries(this.panel.fields.map((f) => [f.name, c[f.name][i]])));
    const any = this.rows.length > 0;
    this.none.hidden = any;
    this.legend.hidden = this.box.hidden = this.details.hidden = !any;
    if (!any) return;
    const steps = this.rows.reduce((sum, r) => sum + r.mainstat, 0);
    say(this.legend, `${number(steps)} steps, ${TOLD[this.rows[0].kind] || this.rows[0].kind}`);
    this.legend.dataset.level = this.rows[0].kind === "estimate" ? "warn" : "ok";
    this.body.replaceChildren(...this.rows.map((r) => h("tr", {}, h("th", { scope: "row" }, r.source), h("td", {}, r.target), h("td", { class: "figure" }, number(r.mainstat) + (r.least === null ? "" : ` (${number(r.least)}–${number(r.most)})`)))));
    this.width = 0;
    this._draw();
  }

  _draw() {
    const width = Math.round(this.box.clientWidth), height = Math.round(this.box.clientHeight);
    if (!this.rows.length || !width || !height || (width === this.width && height === this.height)) return;
    [this.width, this.height] = [width, height];
    const left = stacked(this.rows, "source", "Entry"), right = stacked(this.rows, "target", "Exit");
    const total = left.reduce((sum, n) => sum + n.people, 0);
    const scale = (height - GAP * (Math.max(left.length, right.length) - 1)) / total;
    const from = placed(left, scale), to = placed(right, scale);
    const margin = Math.min(150, width * 0.28), x0 = margin, x1 = width - margin;
    const colour = new Map([...new Set([...left, ...right].map((n) => n.name))].map((name, i) => [name, i % COLOURS + 1]));
    const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${this.panel.title} Most: ${words(this.rows[0])}. The table below has all.` });
    // In order of the places on the other side, so that ribbons of one place do not cross at it.
    const rows = [...this.rows].sort((a, b) => from.get(a.source).y - from.get(b.source).y || to.get(a.target).y - to.get(b.target).y);
    const ends = new Map();
    for (const row of [...rows].sort((a, b) => to.get(a.target).y - to.get(b.target).y || from.get(a.source).y - from.get(b.source).y)) {
      const node = to.get(row.target);
      ends.set(row, node.at);
      node.at += row.mainstat * scale;
    }
    for (const row of rows) {
      const node = from.get(row.source), size = Math.max(1, row.mainstat * scale);
      const a = node.at, b = ends.get(row), middle = (x0 + x1) / 2;
      node.at += row.mainstat * scale;
      const path = `M${x0 + BAR} ${a}C${middle} ${a} ${middle} ${b} ${x1 - BAR} ${b}V${b + size}C${middle} ${b + size} ${middle} ${a + size} ${x0 + BAR} ${a + size}Z`;
      svg.append(draw("path", { d: path, class: `ribbon c${colour.get(row.source)}` }, draw("title", {}, words(row))));
    }
    for (const node of left) this._node(svg, node, x0, x0 - 6, "end", colour, margin);
    for (const node of right) this._node(svg, node, x1 - BAR, x1 + 6, "start", colour, margin);
    this.box.replaceChildren(svg);
  }

  _node(svg, node, x, label, anchor, colour, margin) {
    const most = Math.floor(margin / 7.4);
    const name = node.name.length > most ? `${node.name.slice(0, most - 1)}…` : node.name;
    const y = node.y + node.size / 2;
    svg.append(draw("rect", { x, y: node.y, width: BAR, height: node.size, class: `node c${colour.get(node.name)}` }, draw("title", {}, `${node.name}: ${number(node.people)} people`)));
    const tall = node.size > 26;
    svg.append(draw("text", { x: label, y: tall ? y - 2 : y + 4, "text-anchor": anchor }, name));
    if (tall) svg.append(draw("text", { x: label, y: y + 14, "text-anchor": anchor, class: "people-of" }, number(node.people)));
  }
}
