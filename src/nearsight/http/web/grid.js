// The even grid: tiles with score and verdict, arrows between them.

import { alike, less, marked, marks, more, open, pick, thumb } from "./actions.js";
import { thumbnail } from "./api.js";
import { button, byId, el } from "./dom.js";

/** What was shown of each key, so that the viewer has something to say at once. */
export const seen = new Map();

const room = () => byId("results").querySelector(".grid");
const tiles = () => [...byId("results").querySelectorAll(".tile")];
export const keys = () => tiles().map((tile) => Number(tile.dataset.key));
export const tileOf = (key) => byId("results").querySelector(`.tile[data-key="${Number(key)}"]`);

/** An empty grid in the place for results. */
export function begin(label) {
  seen.clear();
  byId("results").replaceChildren(el("div", { class: "grid", role: "feed", "aria-label": label }));
}

/** Grey tiles where pictures will be. */
export function skeletons(n = 24) {
  const bones = Array.from({ length: n }, () => el("div", { class: "tile bone", "aria-hidden": "true" }, el("div", { class: "picture" }), el("div", { class: "meta" })));
  byId("results").replaceChildren(el("div", { class: "grid", "aria-hidden": "true" }, bones));
}

/** Add hits to the grid, without those that it has; how many were new. */
export function append(collection, hits, total = null) {
  const grid = room();
  const better = ["sure", "likely"].includes([...seen.values(), ...hits][0]?.verdict);
  let added = 0;
  for (const hit of hits) {
    if (seen.has(hit.key)) continue;
    if (hit.verdict === "chance" && better && !grid.querySelector(".divider")) {
      grid.append(el("p", { class: "divider" }, "From here on no better than chance"));
    }
    seen.set(hit.key, hit);
    grid.append(tile(collection, hit, seen.size, total));
    added += 1;
  }
  if (!grid.querySelector(".picture[tabindex='0']")) current(grid.querySelector(".tile"));
  drawMarks();
  return added;
}

/** What a picture is called: its label, a caption, its file's name. */
export const titleOf = (item) => item.label ?? item.captions?.[0] ?? item.name ?? `item ${item.key}`;
export const scoreOf = (score) => score.toFixed(2).replace("-", "−");

export function verdict(hit) {
  if (hit.score === undefined || hit.score === null) return null;
  return el(
    "span",
    { class: `verdict ${hit.verdict ?? "none"}` },
    hit.verdict ? el("span", { class: "word" }, hit.verdict) : null,
    el("span", { class: "score", title: `cosine ${hit.score.toFixed(4)}` }, scoreOf(hit.score)),
  );
}

function spoken(hit) {
  const scored = hit.score === undefined || hit.score === null ? "" : `, score ${scoreOf(hit.score)}`;
  const copies = hit.folded?.length ? `, ${hit.folded.length} nearly the same` : "";
  return `${titleOf(hit)}${scored}${hit.verdict ? `, ${hit.verdict}` : ""}${copies}`;
}

function tile(collection, hit, place, total) {
  const image = el("img", { src: thumbnail(collection.name, hit.key), alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("load", () => image.classList.add("here"));
  image.addEventListener("error", () => image.closest(".tile")?.classList.add("broken"));
  const act = (name, sign, label, pressed = null) =>
    button({ sign, label, kind: "on-picture", tabindex: "-1", data: { act: name }, "aria-pressed": pressed });
  return el(
    "article",
    {
      class: "tile", data: { key: hit.key }, "aria-label": spoken(hit), "aria-posinset": place, "aria-setsize": total ?? -1,
    },
    el("button", { type: "button", class: "picture", tabindex: "-1", data: { act: "open" }, "aria-label": `Open ${spoken(hit)}` }, image),
    hit.folded?.length ? el("span", { class: "copies" }, `+${hit.folded.length}`) : null,
    act("pick", "check", "Choose", "false"),
    el("div", { class: "over" }, act("alike", "alike", "Search by this picture"), act("more", "plus", "More like this"), act("less", "minus", "Less like this")),
    el(
      "div",
      { class: "meta" },
      el("div", { class: "told" }, el("span", { class: `name${hit.label || hit.caption ? "" : " plain"}` }, hit.caption ?? titleOf(hit)), verdict(hit)),
      button({ sign: "up", label: "Good answer", kind: "thumb", tabindex: "-1", data: { act: "up" }, "aria-pressed": "false" }),
      button({ sign: "down", label: "Bad answer", kind: "thumb", tabindex: "-1", data: { act: "down" }, "aria-pressed": "false" }),
    ),
  );
}

/** What marks there are, on the tiles that are there. */
function drawMarks() {
  for (const one of tiles()) {
    const key = Number(one.dataset.key);
    for (const [act, set] of [["up", marks.up], ["down", marks.down], ["pick", marks.picked]]) {
      const on = set.has(key);
      one.querySelector(`[data-act="${act}"]`)?.setAttribute("aria-pressed", on);
      one.classList.toggle(`is-${act}`, on);
    }
  }
}
marked(drawMarks);

/** Make a tile the one that Tab reaches: its picture and what can be done with it. */
function current(one) {
  if (!one) return;
  for (const stop of byId("results").querySelectorAll(".tile [tabindex='0']")) stop.tabIndex = -1;
  for (const stop of one.querySelectorAll("button")) stop.tabIndex = 0;
}

/** Take a tile out, the focus to its neighbour. */
export function remove(key) {
  const one = tileOf(key);
  if (!one) return;
  const all = tiles();
  const next = all[all.indexOf(one) + 1] ?? all[all.indexOf(one) - 1];
  one.remove();
  seen.delete(key);
  current(next);
  next?.querySelector(".picture").focus();
}

/** The tile of the focus, or null. */
export const focused = () => document.activeElement?.closest?.(".tile:not(.bone)") ?? null;

/** The first tile, where the arrows begin. */
export const enter = () => byId("results").querySelector(".tile .picture[tabindex='0']")?.focus();

function moved(key) {
  const all = tiles();
  const at = all.indexOf(focused());
  const tops = all.map((one) => one.offsetTop);
  const columns = Math.max(tops.filter((top) => top === tops[at]).length, tops.filter((top) => top === tops[0]).length);
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  const to = key === "Home" ? 0 : key === "End" ? all.length - 1 : at + by;
  const next = all[key === "ArrowDown" && to >= all.length && at < all.length - 1 ? all.length - 1 : to];
  if (!next) return;
  current(next);
  next.querySelector(".picture").focus();
  next.scrollIntoView({ block: "nearest" });
}

const ACTS = { open, more, less, alike, pick, up: (key) => thumb(key, "up"), down: (key) => thumb(key, "down") };
const KEYS = { "+": more, "=": more, "-": less, u: ACTS.up, d: ACTS.down, x: pick, s: alike };

/** Listen, once for all tiles. */
export function listen() {
  const results = byId("results");
  results.addEventListener("click", (event) => {
    const act = event.target.closest("[data-act]");
    const one = act?.closest(".tile");
    if (one) ACTS[act.dataset.act](Number(one.dataset.key));
  });
  results.addEventListener("focusin", (event) => current(event.target.closest(".tile")));
  results.addEventListener("keydown", (event) => {
    const one = focused();
    if (!one || event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(Arrow|Home|End)/.test(event.key)) {
      event.preventDefault();
      moved(event.key);
    } else if (KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key](Number(one.dataset.key));
    }
  });
}
