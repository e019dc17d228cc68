// Heat on a store's floor plan, by zone, and a sensor's own heat map, by cell. The plan comes clean from the server.
import { draw, h, say } from "./dom.js";
import { duration, number, percent } from "./format.js";
import { get } from "./net.js";

const words = (row) => [row.zone_label, row.share === null ? "not measured" : `${percent(row.share)} of the time`,
  row.stays_n ? `${number(row.stays_n)} stays` : null, row.dwell ? `${duration(row.dwell)} each` : null].filter(Boolean).join(" · ");

// Steps of heat: the hottest zone is full, nothing is empty. The list beside the plan says the same in numbers.
const heat = (value, most) => (value === null || !most ? 0 : 0.08 + 0.8 * (value / most));

export class Plan {
  constructor(panel, site) {
    this.panel = panel;
    this.site = site;
    this.rows = [];
    this.box = h("div", { class: "plan" });
    this.list = h("ol", { class: "zones" });
    this.none = h("p", { class: "empty" }, panel.empty);
    this.element = h("div", { class: "floor" }, this.none, this.box, this.list);
    this._load();
  }

  async _load() {
    let answer = { svg: null };
    try { answer = await get(`/api/v1/stores/${encodeURIComponent(this.site)}/plan`); } catch { /* the next visit asks again */ }
    if (!answer.svg) {
      this.box.replaceChildren(h("p", { class: "hint" }, "No floor plan of this store: name one in its registry file (plan = \"FILE.svg\")."));
      this.element.classList.add("bare");
      return;
    }
    const svg = document.importNode(new DOMParser().parseFromString(answer.svg, "image/svg+xml").documentElement, true);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", "Floor plan; the list of zones says the same");
    this.box.replaceChildren(svg);
    this.shapes = answer.shapes;
    this.labels = draw("g", { class: "labels", "aria-hidden": "true" });
    svg.append(this.labels);
    this._paint();
  }

  update(answer) {
    const c = answer.columns;
    this.rows = c.place.map((place, i) => Object.fromEntries(this.panel.fields.map((f) => [f.name, c[f.name][i]])));
    this.none.hidden = this.rows.length > 0;
    const key = JSON.stringify(c);
    if (key === this.key) return;
    this.key = key;
    const most = Math.max(0, ...this.rows.map((r) => r.share || 0));
    this.list.replaceChildren(...this.rows.map((row) => this._item(row, most)));
    this._paint();
  }

  _item(row, most) {
    const bar = h("span", { class: "bar" });
    bar.style.setProperty("width", `${most && row.share ? (100 * row.share) / most : 0}%`);
    const notes = [row.stays_n === null ? null : `${number(row.stays_n)} stays`, row.dwell ? `${duration(row.dwell)} each` : null].filter(Boolean).join(" · ");
    const item = h("li", {}, h("span", { class: "name-of" }, row.zone_label), h("b", {}, row.share === null ? "–" : percent(row.share)), h("span", { class: "track" }, bar), h("small", {}, notes));
    const light = (on) => () => { const shape = this._shape(row); if (shape) shape.classList.toggle("lit", on); };
    item.addEventListener("mouseenter", light(true));
    item.addEventListener("mouseleave", light(false));
    return item;
  }

  _shape(row) {
    const id = this.shapes && this.shapes[row.place];
    return id ? this.box.querySelector(`#${CSS.escape(id)}`) : null;
  }

  _paint() {
    if (!this.labels) return;
    const most = Math.max(0, ...this.rows.map((r) => r.share || 0));
    this.labels.replaceChildren();
    const size = this.box.firstChild.viewBox.baseVal.width / 42;
    for (const row of this.rows) {
      const shape = this._shape(row);
      if (!shape) continue;
      shape.classList.add("zone");
      shape.setAttribute("fill-opacity", heat(row.share, most));
      let title = shape.querySelector("title");
      if (!title) shape.append(title = draw("title"));
      say(title, words(row));
      const area = shape.getBBox();
      const at = { x: area.x + area.width / 2, y: area.y + area.height / 2, "text-anchor": "middle" };
      this.labels.append(draw("text", { ...at, "font-size": size }, row.zone_label),
        draw("text", { ...at, y: at.y + size * 1.2, "font-size": size, class: "share" }, row.share === null ? "not measured" : percent(row.share)));
    }
  }
}

export class Grid {
  constructor(panel) {
    this.box = h("div", { class: "cells" });
    this.caption = h("p", { class: "legend" });
    this.none = h("p", { class: "empty" }, panel.empty);
    this.element = h("div", { class: "chart" }, this.none, this.caption, this.box);
  }

  update(answer) {
    const c = answer.columns, cells = c.x.length;
    this.none.hidden = cells > 0;
    this.box.hidden = this.caption.hidden = cells === 0;
    const key = JSON.stringify(c);
    if (!cells || key === this.key) return;
    this.key = key;
    const across = c.across[0] || Math.max(...c.x) + 1, down = c.down[0] || Math.max(...c.y) + 1;
    const most = Math.max(...c.heat_share.map((v) => v || 0));
    const hottest = c.heat_share.indexOf(most);
    const svg = draw("svg", { viewBox: `0 0 ${across} ${down}`, role: "img", "aria-label": `Heat map of ${across} by ${down} cells; the hottest is column ${c.x[hottest] + 1}, row ${c.y[hottest] + 1}` },
      draw("rect", { class: "ground", width: across, height: down }));
    for (let i = 0; i < cells; i++) {
      svg.append(draw("rect", { x: c.x[i], y: c.y[i], width: 1, height: 1, class: "cell", "fill-opacity": heat(c.heat_share[i], most).toFixed(3) },
        draw("title", {}, `column ${c.x[i] + 1}, row ${c.y[i] + 1}: ${c.heat_share[i] === null ? "–" : (100 * c.heat_share[i]).toFixed(1)} % of the heat`)));
    }
    say(this.caption, `${c.map[0].split(":")[0]} · hottest cell: column ${c.x[hottest] + 1}, row ${c.y[hottest] + 1}, ${(100 * most).toFixed(1)} % of the heat`);
    this.box.replaceChildren(svg);
  }
}
