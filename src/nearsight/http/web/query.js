// The box for words and the chips: what is searched for, each part with its sign and its weight.

import { call, Problem, thumbnail } from "./api.js";
import { button, byId, el, icon, redraw, toast } from "./dom.js";
import { among, find, keep } from "./pictures.js";
import { browsing, go, state } from "./state.js";
import { forPanel, plain, test, words } from "./written.js";

let input, mistake, chooser;
let drawing = 0; // chips may wait for their pictures: the last drawing is the one that counts
let shown = ""; // what the box held when it was last set from the state

/** Build the form; `current()` is the collection's description. */
export function build(current) {
  input = el("input", {
    type: "search", id: "words", name: "words", enterkeyhint: "search", spellcheck: "false", autocapitalize: "off",
    "aria-label": "Words, or a written query", "aria-describedby": "mistake",
  });
  chooser = el("input", { type: "file", accept: "image/*", class: "sr", tabindex: "-1", "aria-hidden": "true", onchange: () => chosen(chooser.files) });
  mistake = el("div", { class: "mistake", id: "mistake", role: "alert", hidden: true });
  byId("ask").append(
    el("span", { class: "lens" }, icon("search")),
    input,
    button({ sign: "close", label: "Clear the search", id: "clear", kind: "quiet", onclick: () => (clear(), input.focus()) }),
    button({ sign: "camera", label: "Search by a picture", id: "choose", kind: "quiet", onclick: () => chooser.click() }),
    chooser,
    mistake,
  );
  byId("ask").addEventListener("submit", (event) => (event.preventDefault(), submit(current())));
  input.addEventListener("input", () => (mistake.hidden = true));
  input.addEventListener("search", () => input.value === "" && submit(current()));
}

export const focus = () => (input.focus(), input.select());

/** Search by pictures: the first, or each as one more example. */
export async function chosen(files) {
  const pictures = among(files);
  if (!pictures.length) return toast("That is no picture.", { bad: true });
  const examples = [];
  for (const file of pictures.slice(0, 4)) examples.push({ picture: await keep(file), weight: 1 });
  chooser.value = "";
  fresh({ examples });
}

/** A new search: the filters stay, the examples are these. */
export const fresh = (change) => go({ up: [], down: [], view: "pictures", open: null, compare: null, captions: false, ...change });

export const clear = () => fresh({ examples: [], also: null, atLeast: null });

/** One more example, beside what is there. */
export function add(one) {
  const same = JSON.stringify([one.key, one.box, one.picture]);
  const others = state.examples.filter((old) => old.text !== undefined || JSON.stringify([old.key, old.box, old.picture]) !== same);
  go({ examples: [...others, one], view: "pictures", open: null, compare: null });
}

/** Take what stands in the box: words at once, the written form after the server has read it. */
async function submit(collection) {
  const said = input.value.trim();
  const others = state.examples.filter((one) => one.text === undefined);
  mistake.hidden = true;
  if (!said) return fresh({ examples: others, up: state.up, down: state.down });
  if (plain(said)) return fresh({ examples: [{ text: said, weight: 1 }, ...others] });
  try {
    const read = await call("POST", "query", { json: { collection: collection?.name, query: said } });
    const panel = read.where ? forPanel(read.where) : {};
    input.value = shown = words(read.examples);
    fresh({
      examples: [...read.examples, ...others],
      where: panel ? { ...state.where, ...panel } : state.where,
      also: panel ? state.also : { where: read.where, filter: read.filter },
      atLeast: read.min_score ?? null,
      fold: read.fold ?? state.fold,
      verdict: read.verdict ?? state.verdict,
      up: read.up ?? [],
      down: read.down ?? [],
    });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    wrong(said, error);
  }
}

/** Say what is wrong with the written query, and where. */
export function wrong(said, problem) {
  mistake.replaceChildren();
  if (Number.isInteger(problem.start)) {
    const end = Math.max(problem.end ?? problem.start + 1, problem.start + 1);
    mistake.append(
      el("code", {}, said.slice(0, problem.start), el("mark", {}, said.slice(problem.start, end) || " "), said.slice(end)),
    );
    input.setSelectionRange(problem.start, Math.min(end, said.length));
  }
  mistake.append(el("p", {}, el("strong", {}, problem.message)), problem.hint ? el("p", { class: "hint" }, problem.hint) : "");
  mistake.hidden = false;
}

/** Draw the box and the chips from the state. */
export async function draw(collection) {
  const mine = (drawing += 1);
  const text = words(state.examples);
  if (text !== shown || document.activeElement !== input) input.value = text;
  shown = text;
  mistake.hidden = true;
  byId("clear").hidden = browsing(state) && !state.also;
  const reads = collection?.modalities.includes("text");
  input.placeholder = reads ? "Words or a picture" : "A picture";
  const chips = await Promise.all(state.examples.map((one, at) => chip(collection, one, at)));
  const filters = Object.entries(state.where).map(([field, said]) =>
    narrowing(test(field, said), () => go({ where: Object.fromEntries(Object.entries(state.where).filter(([name]) => name !== field)) })),
  );
  if (state.also) filters.push(narrowing(state.also.filter, () => go({ also: null })));
  if (state.atLeast !== null) filters.push(narrowing(`score from ${state.atLeast}`, () => go({ atLeast: null })));
  if (mine !== drawing) return;
  redraw(byId("recipe"), ...chips, ...filters);
  byId("recipe").hidden = state.view === "duplicates" || (!chips.length && !filters.length);
}

function changed(at, change) {
  const examples = state.examples.map((one, place) => (place === at ? { ...one, ...change } : one));
  go({ examples: change ? examples : state.examples.filter((_, place) => place !== at) });
}

async function chip(collection, one, at) {
  const less = one.weight < 0;
  const name = one.text ?? (one.key !== undefined ? `item ${one.key}` : "your picture");
  const size = Math.abs(one.weight);
  const weight = el("input", {
    type: "number", min: "0.1", max: "10", step: "0.1", value: String(size), "aria-label": `Weight of ${name}`,
    onchange: (event) => {
      const asked = Math.min(Math.max(Number(event.target.value) || 1, 0.1), 10);
      changed(at, { weight: less ? -asked : asked });
    },
  });
  return el(
    "div",
    { class: `chip ${less ? "less" : "more"}`, role: "group", "aria-label": `${less ? "less of" : "more of"} ${name}` },
    button({
      sign: less ? "minus" : "plus", kind: "sign", label: less ? `Less of ${name}: make it more` : `More of ${name}: make it less`,
      onclick: () => changed(at, { weight: -one.weight }),
    }),
    await face(collection, one),
    el("label", { class: "weight" }, el("span", {}, "×"), weight),
    button({ sign: "close", kind: "sign", label: `Remove ${name}`, onclick: () => changed(at, null) }),
  );
}

async function face(collection, one) {
  if (one.text !== undefined) return el("span", { class: "said" }, one.text);
  const local = one.picture ? await find(one.picture) : null;
  const region = one.box ? ", a region of it" : "";
  if (one.picture && !local) return el("span", { class: "said gone" }, "a picture that only its own browser has");
  const image = el("img", { src: local?.url ?? thumbnail(collection?.name, one.key, 128), alt: "", width: "40", height: "40" });
  image.addEventListener("error", () => image.replaceWith(icon("picture")));
  return el(
    "button",
    {
      type: "button", class: `face${one.box ? " boxed" : ""}`,
      "aria-label": `${one.picture ? "Your picture" : `Item ${one.key}`}${region}: open it`,
      onclick: () => go({ open: one.key ?? one.picture }, { over: true }),
    },
    image,
    one.box ? icon("frame") : null,
  );
}

const narrowing = (text, remove) =>
  el(
    "div", { class: "chip narrow", role: "group", "aria-label": `filter ${text}` },
    icon("filter"), el("span", { class: "said" }, text), button({ sign: "close", kind: "sign", label: `Remove the filter ${text}`, onclick: remove }),
  );

/** The examples as /search takes them, and the pictures that go with them; what this browser lacks is left out. */
export async function asked(examples) {
  const pictures = new Map();
  const kept = [];
  for (const one of examples) {
    if (one.picture) {
      const found = await find(one.picture);
      if (!found) continue;
      pictures.set(one.picture, found.blob);
    }
    kept.push(one);
  }
  return { examples: kept, pictures };
}
