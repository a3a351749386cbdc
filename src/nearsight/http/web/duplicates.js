// Near-duplicates as groups: which is kept, what the others are, and one place to clear them away.

import { open } from "./actions.js";
import { call, Problem, thumbnail } from "./api.js";
import { button, byId, confirmed, count, el, many, toast } from "./dom.js";
import { scoreOf } from "./grid.js";
import { nothing, notice, trouble } from "./notices.js";
import { go } from "./state.js";

const PAGE = 20;
const AGAIN = 1000; // ms between two looks at the work

let atLeast = null; // cosine from which two pictures are laid over each other; null: as measured on the collection
let run = 0;
let eye;

/** Leave the view: what is under way is given up. */
export function leave() {
  run += 1;
  eye?.disconnect();
}

/** Show the groups of the collection. `changed()` after pictures were deleted. */
export async function refresh(collection, changed) {
  leave();
  const mine = run;
  const again = () => refresh(collection, changed);
  notice(null);
  byId("end").replaceChildren();
  byId("results").replaceChildren();
  head(collection, changed, "Looking for near-duplicates …");
  let offset = 0;
  const fetched = () => call("GET", "duplicates", { query: { collection: collection.name, at_least: atLeast, offset, limit: PAGE } });
  try {
    let page = await fetched();
    while (page.state === "working") {
      if (mine !== run) return;
      working(page);
      await new Promise((done) => setTimeout(done, AGAIN));
      if (mine !== run) return;
      page = await fetched();
    }
    if (mine !== run) return;
    if (!page.groups_total) {
      head(collection, changed, "No near-duplicates");
      nothing("copies", "No near-duplicates", "No picture is there twice, resized, recompressed or cut a little. Comparing from a lower score on looks at more.",
        button({ text: "Back to the pictures", kind: "primary", onclick: () => go({ view: "pictures" }) }));
      return;
    }
    head(collection, changed, many(page.groups_total, "group"));
    const list = el("div", { class: "groups", role: "feed", "aria-label": "Groups of near-duplicates" });
    byId("results").replaceChildren(list);
    const shown = (got) => {
      list.append(...got.groups.map((group) => card(collection, group, changed)));
      offset += got.groups.length;
      if (offset >= got.groups_total || !got.groups.length) return eye?.disconnect();
      eye?.disconnect();
      eye = new IntersectionObserver(async ([seen]) => {
        if (!seen.isIntersecting) return;
        eye.disconnect();
        const next = await fetched();
        if (mine === run) shown(next);
      }, { rootMargin: "800px" });
      return eye.observe(byId("end"));
    };
    shown(page);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (mine === run) trouble(error, again);
  }
}

function working({ done, total }) {
  const share = total ? done / total : 0;
  byId("results").replaceChildren(
    el("div", { class: "nothing" }, el("h2", {}, "Comparing every picture with every other"),
      el("progress", { max: "1", value: String(share), "aria-label": "Pictures compared" }),
      el("p", { role: "status" }, `${count(done)} of ${count(total)}`)),
  );
}

function head(collection, changed, text) {
  const value = el("output", { for: "alike" }, atLeast === null ? "as measured" : scoreOf(atLeast));
  const slider = el("input", {
    type: "range", min: "0.3", max: "0.99", step: "0.01", value: String(atLeast ?? 0.8), id: "alike",
    oninput: () => (value.textContent = scoreOf(Number(slider.value))),
    onchange: () => again(Number(slider.value)),
  });
  const again = (asked) => ((atLeast = asked), refresh(collection, changed));
  byId("line").replaceChildren(
    el("p", { class: "count", role: "status" }, text),
    el("label", { class: "alike", for: "alike" }, "Compare from", slider, value),
    atLeast === null ? "" : button({ text: "As measured", kind: "link", onclick: () => again(null) }),
    button({ text: "Back to the pictures", kind: "plain", onclick: () => go({ view: "pictures" }) }),
  );
}

function card(collection, group, changed) {
  let keep = group.keep;
  const name = `keep-${group.keys[0]}`;
  const node = el("article", { class: "group-card", "aria-label": many(group.keys.length, "picture") });
  const scores = group.keys.map((key, at) => group.scores?.[at] ?? null);
  const sides = group.keys.map((key, at) => {
    const radio = el("input", { type: "radio", name, checked: key === keep, id: `keep-${key}`, onchange: () => ((keep = key), mark()) });
    return el(
      "figure", { data: { key } },
      el("button", { type: "button", class: "picture", "aria-label": `Open item ${key}`, onclick: () => open(key) }, el("img", { src: thumbnail(collection.name, key), alt: "", loading: "lazy", class: "here" })),
      el("figcaption", {},
        collection.writable ? el("label", { for: `keep-${key}` }, radio, el("span", { class: "word" })) : el("span", { class: "word" }),
        scores[at] === null || key === group.keep ? null : el("span", { class: "score", title: "cosine to the one that was kept" }, scoreOf(scores[at]))),
    );
  });
  const mark = () => {
    for (const side of sides) {
      const kept = Number(side.dataset.key) === keep;
      side.classList.toggle("kept", kept);
      side.querySelector(".word").textContent = kept ? "keep" : "copy";
    }
  };
  mark();
  const remove = async () => {
    const others = group.keys.filter((key) => key !== keep);
    if (!(await confirmed(`Delete ${many(others.length, "copy", "copies")}?`, `Item ${keep} stays. The others leave the collection. In a folder that was indexed their files stay; pictures that were added here are gone for good.`, "Delete"))) return;
    try {
      for (const key of others) {
        await call("DELETE", `items/${key}`, { query: { collection: collection.name } });
        sides.find((side) => Number(side.dataset.key) === key).remove();
      }
      node.remove();
      toast(`${many(others.length, "copy", "copies")} deleted`);
      changed({ again: false });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      toast(`${error.message} ${error.hint}`, { bad: true });
    }
  };
  node.append(
    el("div", { class: "sides" }, sides),
    el("div", { class: "acts" },
      button({ sign: "compare", text: "Compare", onclick: () => go({ compare: [keep, group.keys.find((key) => key !== keep)] }, { over: true }) }),
      collection.writable ? button({ sign: "trash", text: `Delete ${many(group.keys.length - 1, "copy", "copies")}`, kind: "danger-quiet", onclick: remove }) : null),
  );
  return node;
}
