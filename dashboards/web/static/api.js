// The OpenAPI document as a page: every route, its parameters and the columns of its answer.
import { h } from "./dom.js";

const typeOf = (schema) => schema.type || (schema.anyOf || []).map((s) => s.type).filter((t) => t !== "null").join(" or ") + ((schema.anyOf || []).some((s) => s.type === "null") ? ", may be null" : "");
const table = (name, heads, rows) => h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": name }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows)));

function columns(spec, answer) {
  const name = (s) => ((s || {}).$ref || "").split("/").pop();
  const whole = spec.components.schemas[name(((answer.content || {})["application/json"] || {}).schema)];
  const row = whole && whole.properties.rows && spec.components.schemas[name(whole.properties.rows.items)];
  if (!row) return null;
  const rows = Object.entries(row.properties).map(([key, s]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, typeOf(s)), h("td", {}, s.description || "")));
  return h("details", {}, h("summary", {}, "Columns of a row"), table("Columns of a row", ["Column", "Type", "Meaning"], rows));
}

function route(spec, path, verb, call) {
  const parameters = (call.parameters || []).map((p) => h("tr", {}, h("th", { scope: "row" }, p.name), h("td", {}, typeOf(p.schema)), h("td", {}, p.required ? "needed" : p.schema.default === undefined ? "" : `default ${p.schema.default}`), h("td", {}, p.description || p.schema.description || "")));
  return h("section", { class: "panel" }, h("h2", {}, h("code", {}, `${verb.toUpperCase()} ${path}`)), h("p", {}, call.summary || ""), call.description && call.description !== call.summary ? h("p", { class: "hint" }, call.description) : null,
    parameters.length ? table(`Parameters of ${path}`, ["Parameter", "Type", "", "Meaning"], parameters) : null, columns(spec, call.responses["200"] || {}));
}

const spec = await (await fetch("/api/v1/openapi.json")).json();
const routes = Object.entries(spec.paths).flatMap(([path, calls]) => Object.entries(calls).map(([verb, call]) => route(spec, path, verb, call)));
document.getElementById("main").replaceChildren(h("div", { class: "head" }, h("h1", {}, spec.info.title, " read API"), h("p", { class: "sub" }, `version ${spec.info.version} · `, h("a", { href: "/api/v1/openapi.json" }, "openapi.json"))),
  h("p", {}, spec.info.description, " With tokens switched on, send the header Authorization: Bearer TOKEN."), ...routes);
