// One picture at full size: what is known of it, what can be done with it, and a box on it to search by.

import { alike, forget, less, marks, more, open, thumb } from "./actions.js";
import { call, picture, Problem, search, thumbnail } from "./api.js";
import { button, confirmed, el, head, icon, modal, toast } from "./dom.js";
import { keys, remove, seen, tileOf, titleOf, verdict } from "./grid.js";
import { find } from "./pictures.js";
import { add, fresh } from "./query.js";
import { pixels, region } from "./region.js";
import { ahead } from "./results.js";
import { back, browsing, state } from "./state.js";

let node = null;
let shown = null; // key or name of a given picture
let box = null;

/** Bring the viewer to what the state says. `changed()` after a label was edited or a picture deleted. */
export function follow(collection, changed) {
  if (state.open === null || state.compare) return close();
  if (state.open === shown && node) return undefined;
  shown = state.open;
  box = null;
  if (!node) {
    node = modal({ label: "Picture", kind: "viewer", closed });
    node.addEventListener("keydown", (event) => pressed(event, collection, changed));
  }
  const at = shown;
  return typeof at === "number" ? item(collection, at, changed) : given(at);
}

function close() {
  if (!node) return;
  const old = node;
  node = null;
  shown = null;
  old.close();
}

/** The dialog was closed by hand: the address follows. */
function closed() {
  if (node === null) return;
  const key = shown;
  node = null;
  shown = null;
  back({ open: null });
  tileOf(key)?.querySelector(".picture").focus();
}

async function item(collection, key, changed) {
  const known = seen.get(key) ?? { key, name: null };
  draw(collection, known, changed);
  try {
    const told = await call("GET", `items/${key}`, { query: { collection: collection.name } });
    if (shown === key && node) draw(collection, { ...known, ...told }, changed, node.querySelector(".stage"));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    node?.querySelector(".facts")?.prepend(el("p", { class: "bad-line", role: "alert" }, `${error.message} ${error.hint}`));
  }
}

/** The viewer of an item; `stage`: what of it is drawn already, so that a picture is not loaded twice. */
function draw(collection, item, changed, stage = null) {
  const all = keys();
  const at = all.indexOf(item.key);
  const title = titleOf(item);
  node.setAttribute("aria-label", title);
  const held = node.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  node.replaceChildren(
    stage ?? scene(picture(collection.name, item.key), thumbnail(collection.name, item.key), title, () => ({ key: item.key }), item),
    el(
      "div", { class: "facts" }, head(title),
      el("div", { class: "pad stack" }, ...facts(collection, item, changed)),
    ),
    all.length > 1 && at >= 0 ? step("left", "Previous picture", all[at - 1]) : "",
    all.length > 1 && at >= 0 ? step("right", "Next picture", all[at + 1]) : "",
  );
  const again = held && [...node.querySelectorAll("button")].find((one) => one.getAttribute("aria-label") === held && !one.disabled);
  (again || node.querySelector(".head button")).focus();
  if (at >= 0 && at >= all.length - 5) ahead();
}

const step = (sign, label, key) =>
  button({ sign, label, kind: `step ${sign}`, disabled: key === undefined, onclick: () => open(key) });

/** The picture itself, with the box that may be drawn on it. `source()` is the example that it stands for. */
function scene(url, small, title, source, { width, height } = {}, lost = "This picture cannot be shown. Its file may have moved: nearsight check says so.") {
  const image = el("img", { src: url, alt: title, draggable: "false" });
  const frame = el("div", { class: "frame" }, image);
  if (small) {
    frame.style.setProperty("--small", `url("${small}")`);
    frame.classList.add("loading");
  }
  const searching = button({ sign: "search", text: "Search this region", kind: "primary", onclick: () => findBy(source()) });
  const adding = button({ sign: "plus", text: "Add it to the search", kind: "on-dark", onclick: () => findBy(source(), add) });
  const bar = el("div", { class: "region-bar" }, el("p", {}, "Drag a box to search by that part"),
    button({ sign: "frame", text: "Draw a region", kind: "on-dark", onclick: () => (drawn.show([0.25, 0.25, 0.75, 0.75]), drawn.focus()) }));
  const findBy = (example, how = (one) => fresh({ examples: [one] })) => {
    const size = [width ?? image.naturalWidth, height ?? image.naturalHeight];
    how({ ...example, box: pixels(box, ...size), weight: 1 });
  };
  const drawn = region(frame, (next) => {
    box = next;
    bar.classList.toggle("ready", Boolean(box));
    if (box) bar.replaceChildren(searching, browsing(state) ? "" : adding, button({ sign: "close", label: "Remove the region", kind: "on-dark", onclick: () => drawn.show(null) }));
    else bar.replaceChildren(...resting);
  });
  const resting = [...bar.children];
  frame.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && box) findBy(source());
  });
  const fit = () => {
    const [wide, high] = [width ?? image.naturalWidth, height ?? image.naturalHeight];
    frame.style.setProperty("--ratio", String(wide / high || 1));
    frame.style.setProperty("--wide", `${wide}px`);
  };
  if (width && height) fit();
  image.addEventListener("load", () => (fit(), frame.classList.remove("loading")));
  image.addEventListener("error", () => frame.replaceWith(el("p", { class: "lost" }, icon("picture"), lost)));
  return el("div", { class: "stage" }, frame, bar);
}

function facts(collection, item, changed) {
  const row = (name, value) => [el("dt", {}, name), el("dd", {}, String(value))];
  const told = [
    ...(item.name ? row("File", item.name) : []),
    ...(item.width ? row("Size", `${item.width} × ${item.height}`) : []),
    ...row("Key", `@${item.key}`),
    ...Object.entries(item.fields ?? {}).filter(([, value]) => value !== null).flatMap(([name, value]) => row(name, value)),
  ];
  return [
    item.score === undefined ? null : el("p", { class: "judged" }, verdict(item)),
    label(collection, item, changed),
    el(
      "div", { class: "acts" },
      button({ sign: "alike", text: "Search by this picture", kind: "primary wide", onclick: () => alike(item.key) }),
      button({ sign: "plus", text: "More like this", onclick: () => more(item.key) }),
      button({ sign: "minus", text: "Less like this", onclick: () => less(item.key) }),
      thumbs(item.key, "up", "Good answer"), thumbs(item.key, "down", "Bad answer"),
    ),
    item.captions?.length ? el("section", {}, el("h3", {}, "Captions"), el("ul", { class: "captions-of" }, item.captions.map((one) => el("li", {}, one)))) : null,
    collection.captions && collection.modalities.includes("text") ? nearest(collection, item) : null,
    el("section", {}, el("h3", {}, "Details"), el("dl", {}, told)),
    item.folded?.length ? el("section", {}, el("h3", {}, "Nearly the same"), strip(collection, item.folded)) : null,
    el(
      "div", { class: "acts last" },
      el("a", { class: "button plain", href: picture(collection.name, item.key), target: "_blank", rel: "noopener" }, icon("out"), el("span", {}, "Open the file")),
      collection.writable ? button({ sign: "trash", text: "Delete", kind: "danger-quiet", onclick: () => gone(collection, item, changed) }) : null,
    ),
  ].filter(Boolean);
}

function thumbs(key, way, text) {
  const press = (event) => {
    thumb(key, way);
    for (const one of node.querySelectorAll("[data-way]")) one.setAttribute("aria-pressed", marks[one.dataset.way].has(key));
    event.currentTarget.focus();
  };
  return button({ sign: way, text, data: { way }, "aria-pressed": String(marks[way].has(key)), onclick: press });
}

const strip = (collection, all) =>
  el("div", { class: "strip" }, all.slice(0, 12).map((key) =>
    el("button", { type: "button", "aria-label": `Open item ${key}`, onclick: () => open(key) }, el("img", { src: thumbnail(collection.name, key, 128), alt: "" }))));

/** Captions of other pictures that fit this one, asked for only when somebody opens the fold. */
function nearest(collection, item) {
  const list = el("ul", { class: "captions-of" });
  const fold = el("details", {}, el("summary", {}, "Captions that fit it"), list);
  fold.addEventListener("toggle", async () => {
    if (!fold.open || list.children.length) return;
    list.replaceChildren(el("li", { class: "soft" }, "Looking …"));
    try {
      const page = await search({ collection: collection.name, examples: [{ key: item.key, weight: 1 }], captions: true, k: 5 });
      list.replaceChildren(...page.hits.map((hit) => el("li", {}, hit.caption, " ", verdict(hit))));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      list.replaceChildren(el("li", { class: "bad-line" }, `${error.message} ${error.hint}`));
    }
  });
  return fold;
}

function label(collection, item, changed) {
  if (!collection.writable) return item.label ? el("p", { class: "label" }, icon("tag"), item.label) : null;
  const input = el("input", { id: "label", value: item.label ?? "", maxlength: "200", placeholder: "No label yet", autocomplete: "off" });
  const save = el("button", { type: "submit", class: "button plain", disabled: true }, "Save");
  input.addEventListener("input", () => (save.disabled = input.value.trim() === (item.label ?? "")));
  const submit = async (event) => {
    event.preventDefault();
    try {
      const said = input.value.trim() || null;
      const told = await call("PATCH", `items/${item.key}`, { query: { collection: collection.name }, json: { label: said } });
      Object.assign(item, { label: told?.label ?? said });
      seen.set(item.key, { ...seen.get(item.key), ...item });
      save.disabled = true;
      const name = tileOf(item.key)?.querySelector(".name");
      if (name) name.textContent = titleOf(item);
      toast(said ? `Labelled ${said}` : "The label is gone");
      changed();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      toast(`${error.message} ${error.hint}`, { bad: true });
    }
  };
  return el("form", { class: "label-form", onsubmit: submit }, el("label", { for: "label" }, "Label"), el("div", { class: "joined" }, input, save));
}

async function gone(collection, item, changed) {
  const yes = await confirmed("Delete this picture?", `${item.name ?? `Item ${item.key}`} leaves the collection. In a folder that was indexed its file stays, and the next nearsight index finds it again; a picture that was added here is gone for good.`, "Delete");
  if (!yes) return;
  try {
    await call("DELETE", `items/${item.key}`, { query: { collection: collection.name } });
    forget(item.key);
    node?.close();
    remove(item.key);
    toast("Deleted");
    changed();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    toast(`${error.message} ${error.hint}`, { bad: true });
  }
}

/** A picture that was dropped or pasted: the same stage, to draw a box on. */
async function given(name) {
  const local = await find(name);
  if (!node || shown !== name) return;
  node.replaceChildren(
    local ? scene(local.url, null, "Your picture", () => ({ picture: name }), {}, "This browser cannot show a picture of this kind. It can be searched by all the same.") : el("p", { class: "lost" }, icon("picture"), "This picture is in the browser that it was dropped in, and not in this one."),
    el("div", { class: "facts" }, head("Your picture"), el("div", { class: "pad stack" }, el("p", { class: "soft" }, "It is sent to your server when you search by it, and not kept there."))),
  );
  node.querySelector(".head button").focus();
}

function pressed(event, collection, changed) {
  if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const all = keys();
  const to = { ArrowLeft: all[all.indexOf(shown) - 1], ArrowRight: all[all.indexOf(shown) + 1] }[event.key];
  if (to !== undefined && all.includes(shown)) open(to);
  if (typeof shown !== "number") return;
  if (event.key === "+" || event.key === "=") more(shown);
  else if (event.key === "-") less(shown);
  else if (event.key === "s") alike(shown);
  else if (event.key === "u" || event.key === "d") node.querySelector(`[data-way="${event.key === "u" ? "up" : "down"}"]`)?.click();
  else if (event.key === "Delete" && collection.writable && !event.target.closest(".box")) gone(collection, { ...seen.get(shown), key: shown }, changed);
}
