// From the state to pictures: browse or search, page by page, and what is said about the answer.

import { call, Problem, search } from "./api.js";
import { button, byId, count, el, many } from "./dom.js";
import { append, begin, seen, skeletons } from "./grid.js";
import { nothing, notice, trouble } from "./notices.js";
import { asked, clear } from "./query.js";
import { browsing, filterOf, go, state } from "./state.js";
import { choose as upload } from "./upload.js";

const PAGE = 60;
const DEEPEST = 10_000; // offset + k, as the server has it

let running = new AbortController();
let next = null; // () => Promise: fetches the page after this one; null where there is none
let eye;

/** Give up what is under way: something else is to be shown. */
export function leave() {
  running.abort();
  eye?.disconnect();
  next = null;
}

/** Show what the state asks for. */
export async function refresh(collection) {
  leave();
  running = new AbortController();
  const { signal } = running;
  byId("end").replaceChildren();
  byId("results").setAttribute("aria-busy", "true");
  const waiting = setTimeout(() => (skeletons(), line("Searching …")), 150);
  try {
    if (browsing(state)) await browse(collection, signal);
    else await find(collection, signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Problem)) throw error;
    byId("results").replaceChildren();
    line("");
    trouble(error, () => refresh(collection));
  } finally {
    clearTimeout(waiting);
    if (!signal.aborted) byId("results").setAttribute("aria-busy", "false");
  }
}

function line(text, ...more) {
  byId("line").replaceChildren(el("p", { class: "count", role: "status" }, text), ...more);
}

async function browse(collection, signal) {
  const where = filterOf(state);
  let offset = 0;
  const fetched = () =>
    call("GET", "items", { query: { collection: collection.name, where: where && JSON.stringify(where), offset, limit: PAGE, order: "-key" }, signal });
  const page = await fetched();
  notice(null);
  if (!page.total) return empty(collection, where);
  line(many(page.total, "picture"));
  begin("Pictures of the collection");
  const shown = (got) => {
    if (signal.aborted) return;
    append(collection, got.items, got.total);
    offset += got.items.length;
    settle(offset < got.total && got.items.length ? async () => shown(await fetched()) : null);
  };
  shown(page);
}

function empty(collection, where) {
  line("");
  if (where) {
    return nothing("filter", "Nothing has these filters", `There are ${many(collection.items, "picture")} without them.`,
      button({ text: "Clear the filters", kind: "primary", onclick: () => go({ where: {}, also: null }) }));
  }
  return nothing("picture", "This collection is empty",
    collection.writable ? "Drop pictures here, or index a folder with: nearsight index FOLDER" : "Index a folder with: nearsight index FOLDER",
    collection.writable ? button({ sign: "upload", text: "Add pictures", kind: "primary", onclick: () => upload(collection) }) : null);
}

/** The request of the state, without its page; null where nothing of it is left. */
export async function requested(collection) {
  const { examples, pictures } = await asked(state.examples);
  const where = filterOf(state);
  const request = { collection: collection.name, examples };
  if (state.up.length) request.up = state.up;
  if (state.down.length) request.down = state.down;
  if (where) request.where = where;
  if (state.atLeast !== null) request.min_score = state.atLeast;
  if (state.verdict) request.verdict = state.verdict;
  if (state.fold !== null && !state.captions) request.fold = state.fold;
  if (state.captions) request.captions = true;
  return { request, pictures };
}

async function find(collection, signal) {
  const { request, pictures } = await requested(collection);
  if (!request.examples.length && !state.up.length && !state.down.length) {
    notice(null);
    line("");
    return nothing("picture", "That picture is not in this browser", "A link holds the search, not a picture that was dropped. Drop it here again.",
      button({ text: "Browse everything", kind: "primary", onclick: clear }));
  }
  let offset = 0;
  const fetched = () => search({ ...request, k: Math.min(PAGE, DEEPEST - offset), offset }, pictures, signal);
  const page = await fetched();
  say(collection, page);
  if (!page.hits.length) return undefined;
  begin(state.captions ? "Captions" : "Answers");
  if (state.captions) byId("results").firstChild.classList.add("captions");
  const shown = (got) => {
    if (signal.aborted) return;
    const added = append(collection, got.hits);
    offset += got.hits.length;
    settle(got.more && added && offset < DEEPEST ? async () => shown(await fetched()) : null);
  };
  return shown(page);
}

/** The line above the answers, and "no match" in words. */
function say(collection, page) {
  const took = page.took_ms ? `${Math.max(1, Math.round(page.took_ms.total))} ms` : "";
  const parts = page.took_ms ? ["encode", "search", "rerank"].filter((part) => page.took_ms[part] !== undefined).map((part) => `${part} ${Math.round(page.took_ms[part])} ms`) : [];
  const refined = { rocchio: "refined by your thumbs", probe: "refined by a probe of your thumbs" }[page.method];
  const unknown = page.unknown.length ? `not known: ${page.unknown.map((word) => `“${word}”`).join(", ")}` : "";
  line(page.hits.length ? `Best first, of ${many(collection.items, "picture")}` : "", unknown ? el("span", { class: "tag", title: "The encoder does not know these words: they were passed over." }, unknown) : "", refined ? el("span", { class: "tag" }, refined) : "", el("span", { class: "took", title: parts.join(", ") }, took));
  notice(null);
  if (!page.hits.length) {
    const narrowed = filterOf(state) || state.atLeast !== null;
    return nothing("search", state.verdict ? `Nothing here is ${state.verdict === "sure" ? "sure" : "likely"}` : "No match",
      narrowed ? "The filters leave nothing for this search." : state.verdict ? "There are answers that are less than that." : "This collection has nothing to show for it.",
      state.verdict ? button({ text: "Show every answer", kind: "primary", onclick: () => go({ verdict: null }) }) : null,
      filterOf(state) ? button({ text: "Clear the filters", kind: state.verdict ? "plain" : "primary", onclick: () => go({ where: {}, also: null, atLeast: null }) }) : null,
      button({ text: "Browse everything", onclick: clear }));
  }
  if (page.verdict === "chance") {
    notice("calm", "No match", `Nothing in ${collection.name} looks like this. What follows is no nearer than chance.`,
      button({ text: "Browse everything", onclick: clear }));
  }
  return undefined;
}

function settle(after) {
  next = after;
  const end = byId("end");
  end.replaceChildren(next ? button({ text: "More", kind: "plain", onclick: more }) : seen.size > PAGE ? el("p", {}, `That was all: ${count(seen.size)}.`) : "");
  if (next) {
    eye?.disconnect(); // looked at anew: a page that does not fill the window asks for the next at once
    eye = new IntersectionObserver((seenNow) => seenNow.some((one) => one.isIntersecting) && more(), { rootMargin: "1200px" });
    eye.observe(end);
  }
}

async function more() {
  const fetch = next;
  if (!fetch) return;
  next = null;
  byId("end").replaceChildren(el("p", { class: "spin" }, "More …"));
  try {
    await fetch();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Problem)) throw error;
    next = fetch;
    byId("end").replaceChildren(el("p", {}, `${error.message} ${error.hint}`), button({ text: "Try again", kind: "primary", onclick: more }));
  }
}

/** Fetch the page after this one, for the viewer that has reached the end. */
export const ahead = more;
