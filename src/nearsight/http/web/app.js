// The page: what hears what.

import * as actions from "./actions.js";
import { call, Problem } from "./api.js";
import * as compare from "./compare.js";
import { button, byId, count, el, many, redraw } from "./dom.js";
import * as drop from "./drop.js";
import * as duplicates from "./duplicates.js";
import * as feedback from "./feedback.js";
import * as filters from "./filters.js";
import * as grid from "./grid.js";
import * as indexing from "./indexing.js";
import * as keys from "./keys.js";
import * as notices from "./notices.js";
import * as query from "./query.js";
import * as results from "./results.js";
import { go, searched, start, state, subscribe } from "./state.js";
import * as upload from "./upload.js";
import * as viewer from "./viewer.js";

let collections = [];
const current = () => collections.find((one) => one.name === state.collection) ?? collections[0] ?? null;

/** Describe the collections again: after something was added, labelled, deleted. */
async function described() {
  ({ collections } = await call("GET", "collections"));
  frame();
}

/** What stands around the pictures. */
function frame() {
  const collection = current();
  const select = el(
    "select", { "aria-label": "Collection", onchange: (event) => go({ collection: event.target.value, examples: state.examples.filter((one) => one.key === undefined), where: {}, also: null, up: [], down: [], open: null, compare: null, captions: false }) },
    collections.map((one) => el("option", { value: one.name, selected: one === collection }, `${one.name} · ${count(one.items)}`)),
  );
  byId("collections").replaceChildren(collections.length > 1 ? select : el("p", {}, el("strong", {}, collection?.name ?? ""), el("span", { class: "soft" }, collection ? many(collection.items, "picture") : "")));
  const there = state.view === "duplicates";
  redraw(
    byId("tools"),
    narrowing(collection),
    collection?.writable ? button({ sign: "upload", text: "Add pictures", label: "Add pictures", kind: "plain folds", onclick: () => upload.choose(collection) }) : "",
    button({ sign: "copies", text: "Duplicates", label: "Near-duplicates", kind: "plain folds", "aria-pressed": String(there), onclick: () => go({ view: there ? "pictures" : "duplicates" }) }),
    theme(),
    button({ sign: "help", label: "Keys", kind: "quiet wide-only", onclick: keys.help }),
  );
  filters.draw(collection);
  query.draw(collection);
  const about = state.examples.find((one) => one.text !== undefined)?.text;
  document.title = [about, collection?.name, "nearsight"].filter(Boolean).join(" · ");
}

/** On a phone: the button of the filters, with how many hold. */
function narrowing(collection) {
  const n = filters.held();
  const node = button({ sign: "filter", label: n ? `Filters, ${n} hold` : "Filters", kind: "plain narrow-only", onclick: () => filters.sheet(collection) });
  if (n) node.append(el("span", { class: "badge", "aria-hidden": "true" }, String(n)));
  return node;
}

/** Light, dark, or as the system has it. */
function theme() {
  const root = document.documentElement;
  const now = root.dataset.theme ?? "auto";
  const next = { auto: "light", light: "dark", dark: "auto" }[now];
  const said = { auto: "as the system", light: "light", dark: "dark" };
  return button({
    sign: { auto: "auto", light: "sun", dark: "moon" }[now], label: `Theme: ${said[now]}. Change to ${said[next]}`, kind: "quiet theme",
    onclick: () => {
      if (next === "auto") delete root.dataset.theme;
      else root.dataset.theme = next;
      try {
        localStorage.setItem("nearsight.theme", next);
      } catch {
        // No storage (private mode): it holds until the page is left.
      }
      document.querySelector(".theme").replaceWith(theme());
      document.querySelector(".theme").focus();
    },
  });
}

function show() {
  const collection = current();
  if (!collection) {
    return notices.nothing("picture", "No collection", "Start the server with one: nearsight serve photos.ns");
  }
  results.leave();
  duplicates.leave();
  if (state.view === "duplicates") return duplicates.refresh(collection, changed);
  return results.refresh(collection);
}

/** Something was added, labelled or deleted here: counts and filters are new. */
async function changed({ again = state.view === "duplicates" } = {}) {
  try {
    await described();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
  if (again) show();
}

function hear(now, before) {
  if (!collections.length) return;
  if (searched(now) !== searched(before)) {
    frame();
    actions.follow(now);
    if (now.collection !== before.collection) actions.unpick();
    scrollTo({ top: 0 });
    show();
  }
  viewed();
}

/** What lies over the page. */
function viewed() {
  viewer.follow(current(), changed);
  compare.follow(current());
}

async function open() {
  try {
    await described();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return notices.trouble(error, open);
  }
  notices.notice(null);
  actions.follow(state);
  show();
  return viewed();
}

query.build(current);
notices.listen();
grid.listen();
feedback.listen(current, changed);
drop.listen(current);
keys.listen();
upload.listen(() => changed({ again: true }));
subscribe(hear);
start();
document.querySelector(".brand").addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  query.fresh({ examples: [], where: {}, also: null, atLeast: null, fold: null, verdict: null });
});
open().then(() => indexing.watch(current, () => changed({ again: true })));
