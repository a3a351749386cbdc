// Filters from the collection's own columns, and what else narrows an answer: verdict, near-duplicates, captions.

import { button, byId, count, el, head, modal } from "./dom.js";
import { browsing, go, state } from "./state.js";

const FOLD = 0.97;
const SHORT = 8; // values of a field before "more"
const OPEN = 3; // fields that are open at first
const folded = new Map(); // field -> whether somebody closed or opened it
const opened = new Set(); // fields whose whole list of values is shown
const sought = new Map(); // field -> what is typed to find a value

/** Draw them from the description of the collection. */
export function draw(collection) {
  const panel = byId("filters");
  const held = panel.contains(document.activeElement) ? document.activeElement.id : null;
  panel.replaceChildren(...(collection ? content(collection, "side") : []));
  document.querySelector(".room").classList.toggle("whole", state.view === "duplicates" || !panel.children.length);
  if (held) document.getElementById(held)?.focus();
  document.querySelector(".modal.sheet .sheet-body")?.replaceChildren(...content(collection, "sheet"));
}

/** On a phone the filters come up from below. */
export function sheet(collection) {
  modal({ label: "Filters", kind: "sheet" }, head("Filters"), el("div", { class: "sheet-body" }, content(collection, "sheet")));
}

/** How many filters hold. */
export const held = () => Object.keys(state.where).length + (state.also ? 1 : 0) + (state.verdict ? 1 : 0) + (state.fold ? 1 : 0);

function content(collection, where) {
  const fields = collection.fields.filter((field) => (field.kind === "number" ? field.min < field.max : (field.values?.length ?? 0) > 1 || field.values?.[0]?.count < collection.items));
  const searching = !browsing(state);
  return [
    searching && !state.captions ? answers(collection, where) : null,
    searching && collection.captions && collection.modalities.includes("text") ? kinds(where) : null,
    ...fields.map((field, at) => section(field, where, folded.get(field.name) ?? (at < OPEN || field.name in state.where))),
    held() ? button({ text: "Clear all", kind: "link", onclick: () => go({ where: {}, also: null, verdict: null, fold: null }) }) : null,
  ].filter(Boolean);
}

function choice(name, where, current, options, chosen) {
  return el(
    "div", { class: "choice", role: "radiogroup", "aria-label": name },
    options.map(([value, text]) => {
      const id = `${where}-${name}-${value}`.replace(/\W/g, "-");
      const input = el("input", { type: "radio", name: `${where}-${name}`, id, checked: current === value, onchange: () => chosen(value) });
      return el("label", { for: id }, input, el("span", {}, text));
    }),
  );
}

function answers(collection, where) {
  const fold = el("input", {
    type: "checkbox", role: "switch", id: `${where}-fold`, checked: state.fold !== null, onchange: () => go({ fold: fold.checked ? FOLD : null }),
  });
  return el(
    "section", { class: "field" }, el("h3", {}, "Answers"),
    collection.calibrated
      ? choice("Verdict", where, state.verdict, [[null, "All"], ["likely", "Likely"], ["sure", "Sure"]], (verdict) => go({ verdict }))
      : el("p", { class: "soft" }, "nearsight calibrate finds out what these scores mean."),
    el("label", { class: "switch", for: `${where}-fold` }, el("span", {}, "Fold near-duplicates"), fold),
  );
}

const kinds = (where) =>
  el("section", { class: "field" }, el("h3", {}, "Find"),
    choice("Find", where, state.captions, [[false, "Pictures"], [true, "Captions"]], (captions) => go({ captions, verdict: null })));

function narrow(field, said) {
  const where = { ...state.where };
  if (said && Object.keys(said).length) where[field] = said;
  else delete where[field];
  go({ where });
}

/** A field with its name to fold it by. */
function section(field, where, open) {
  const node = el(
    "details", { class: "field", open, data: { field: field.name } },
    el("summary", {}, el("h3", {}, field.name.replaceAll("_", " "))), field.kind === "number" ? range(field, where) : values(field, where),
  );
  node.addEventListener("toggle", () => node.open !== open && folded.set(field.name, node.open));
  return node;
}

function values(field, where) {
  const chosen = state.where[field.name]?.in ?? [];
  const text = sought.get(field.name) ?? "";
  const known = field.values.map((one) => one.value);
  const all = [...chosen.filter((value) => !known.includes(value)).map((value) => ({ value, count: null })), ...field.values];
  const found = all.filter((one) => chosen.includes(one.value) || String(one.value).toLowerCase().includes(text.toLowerCase()));
  const short = !opened.has(field.name) && !text && found.length > SHORT + 2;
  const visible = short ? found.filter((one, at) => at < SHORT || chosen.includes(one.value)) : found;
  const list = visible.map((one, at) => {
    const input = el("input", {
      type: "checkbox", id: `${where}-${field.name}-${at}`, checked: chosen.includes(one.value),
      onchange: () => {
        const now = input.checked ? [...chosen, one.value] : chosen.filter((value) => value !== one.value);
        narrow(field.name, now.length ? { in: now } : null);
      },
    });
    return el("label", { class: "value" }, input, el("span", { class: "word" }, String(one.value)), one.count === null ? null : el("span", { class: "n" }, count(one.count)));
  });
  const seek = all.length > SHORT + 2
    ? el("input", {
        type: "search", class: "seek", id: `${where}-seek-${field.name}`, placeholder: `Find a ${field.name}`, "aria-label": `Find a ${field.name}`, value: text,
        oninput: (event) => { sought.set(field.name, event.target.value); redraw(field, where); },
      })
    : null;
  return el(
    "div", { class: "body" }, seek,
    el("div", { class: "values", role: "group", "aria-label": field.name }, list),
    short ? button({ text: `${count(found.length - visible.length)} more`, kind: "link", onclick: () => (opened.add(field.name), redraw(field, where)) }) : null,
    field.more && !short ? el("p", { class: "soft" }, `The ${count(field.values.length)} commonest. Others can be written: … | ${field.name} = value`) : null,
  );
}

/** One field again, the focus where it was. */
function redraw(field, where) {
  const held = document.activeElement?.id;
  const old = [...document.querySelectorAll(`.${where === "side" ? "side" : "sheet-body"} .field`)].find((one) => one.dataset.field === field.name);
  old?.querySelector(".body").replaceWith(values(field, where));
  if (held) document.getElementById(held)?.focus();
}

function range(field, where) {
  const said = state.where[field.name] ?? {};
  const whole = Number.isInteger(field.min) && Number.isInteger(field.max);
  const low = said.gte ?? field.min;
  const high = said.lte ?? field.max;
  const asked = (gte, lte) => narrow(field.name, { ...(gte > field.min ? { gte } : {}), ...(lte < field.max ? { lte } : {}) });
  const track = el("div", { class: "track" });
  const fill = (from, to) => {
    const share = (value) => `${(100 * (value - field.min)) / (field.max - field.min)}%`;
    track.style.setProperty("--from", share(from));
    track.style.setProperty("--to", share(to));
  };
  const slider = (name, value) =>
    el("input", { type: "range", min: field.min, max: field.max, step: whole ? 1 : "any", value: String(value), "aria-label": `${field.name} ${name}`, id: `${where}-${field.name}-${name}-slider` });
  const number = (name, value) =>
    el("input", { type: "number", min: field.min, max: field.max, step: whole ? 1 : "any", value: String(value), "aria-label": `${field.name} ${name}, as a number`, id: `${where}-${field.name}-${name}` });
  const [from, to] = [slider("from", low), slider("to", high)];
  const [least, most] = [number("from", low), number("to", high)];
  const slid = () => {
    if (Number(from.value) > Number(to.value)) [from.value, to.value] = [to.value, from.value];
    const shown = (value) => String(whole ? Number(value) : Number(Number(value).toPrecision(4)));
    [least.value, most.value] = [shown(from.value), shown(to.value)];
    fill(Number(from.value), Number(to.value));
  };
  for (const one of [from, to]) {
    one.addEventListener("input", slid);
    one.addEventListener("change", () => asked(Number(from.value), Number(to.value)));
  }
  for (const one of [least, most]) {
    one.addEventListener("change", () => {
      const [a, b] = [Number(least.value || field.min), Number(most.value || field.max)];
      asked(Math.min(a, b), Math.max(a, b));
    });
  }
  track.append(from, to);
  fill(low, high);
  return el("div", { class: "body" }, track, el("div", { class: "ends" }, least, el("span", {}, "to"), most));
}
