// Two pictures side by side, and how near they are to each other.

import { call, picture, Problem, search } from "./api.js";
import { button, el, head, modal } from "./dom.js";
import { titleOf, verdict } from "./grid.js";
import { back, go, state } from "./state.js";

let node = null;
let shown = null;

/** Bring the comparison to what the state says. */
export function follow(collection) {
  const asked = state.compare?.join();
  if (asked === shown) return;
  if (node) {
    const old = node;
    node = null;
    old.close();
  }
  shown = asked ?? null;
  if (state.compare) draw(collection, state.compare);
}

async function draw(collection, keys) {
  const near = el("p", { class: "near", role: "status" }, "…");
  const sides = keys.map((key) => el("figure", { data: { key } }, el("div", { class: "whole" }, el("img", { src: picture(collection.name, key), alt: `Item ${key}` })), el("figcaption", {}, `Item ${key}`)));
  node = modal({ label: "Compare two pictures", kind: "compare", closed }, head("Compare"), el("div", { class: "two" }, sides), near);
  const query = { collection: collection.name };
  try {
    const [first, second, page] = await Promise.all([
      ...keys.map((key) => call("GET", `items/${key}`, { query })),
      search({ ...query, examples: [{ key: keys[0], weight: 1 }], where: { key: { eq: keys[1] } }, k: 1 }),
    ]);
    for (const [at, item] of [first, second].entries()) sides[at].querySelector("figcaption").replaceChildren(...caption(item));
    const [hit] = page.hits;
    near.replaceChildren(...(hit ? ["Similarity ", verdict(hit)] : ["How similar they are is not known."]));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    near.textContent = `${error.message} ${error.hint}`;
  }
}

function caption(item) {
  const size = item.width ? `${item.width} × ${item.height}` : null;
  const rest = Object.entries(item.fields ?? {}).filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}`);
  return [
    el("strong", {}, titleOf(item)), el("span", { class: "soft" }, [item.name, size, ...rest].filter(Boolean).join(" · ")),
    ...(item.captions ?? []).slice(0, 2).map((one) => el("span", {}, one)),
    button({ text: "Open", kind: "link", onclick: () => go({ compare: null, open: item.key }, { replace: true }) }),
  ];
}

function closed() {
  if (node === null) return;
  node = null;
  shown = null;
  back({ compare: null });
}
