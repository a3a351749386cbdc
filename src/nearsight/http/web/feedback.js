// The tray at the foot of the page: thumbs that refine the search, become a label, or are kept to train on; and the
// pictures that were chosen.

import { follow, marked, marks, unpick } from "./actions.js";
import { call, posted, Problem } from "./api.js";
import { button, byId, el, head, many, modal, redraw, toast } from "./dom.js";
import { requested } from "./results.js";
import { browsing, go, state } from "./state.js";

/** Show the tray whenever there is something in it. `current()` describes the collection, `changed()` after labels. */
export function listen(current, changed) {
  marked(() => draw(current(), changed));
}

function draw(collection, changed) {
  const [up, down] = [[...marks.up], [...marks.down]];
  const parts = [];
  if (up.length || down.length) parts.push(thumbs(collection, up, down, changed));
  if (marks.picked.size) parts.push(picked(collection, [...marks.picked], changed));
  redraw(byId("tray"), ...parts);
  byId("tray").hidden = !parts.length;
}

function thumbs(collection, up, down, changed) {
  const fresh = String(up) !== String(state.up) || String(down) !== String(state.down);
  return el(
    "div", { class: "group", role: "group", "aria-label": "Thumbs" },
    el("p", {}, [up.length ? `${up.length} good` : "", down.length ? `${down.length} bad` : ""].filter(Boolean).join(", ")),
    button({ text: "Refine", kind: "primary", disabled: !fresh, onclick: () => go({ up, down, view: "pictures" }) }),
    collection.writable && up.length ? button({ sign: "tag", text: "Save as label", onclick: () => label(collection, up, changed) }) : null,
    collection.writable && !(browsing(state) && !up.length) ? button({ sign: "keep", text: "Keep for training", onclick: () => keep(collection, up, down) }) : null,
    button({ sign: "close", label: "Forget the thumbs", kind: "quiet", onclick: () => forget() }),
  );
}

function forget() {
  if (state.up.length || state.down.length) go({ up: [], down: [] });
  else follow(state);
}

function picked(collection, keys, changed) {
  return el(
    "div", { class: "group", role: "group", "aria-label": "Chosen pictures" },
    el("p", {}, `${keys.length} chosen`),
    button({ sign: "compare", text: "Compare", kind: keys.length === 2 ? "primary" : "plain", disabled: keys.length !== 2, onclick: () => go({ compare: keys }, { over: true }) }),
    collection.writable ? button({ sign: "tag", text: "Label", onclick: () => label(collection, keys, changed) }) : null,
    button({ sign: "close", label: "Choose none", kind: "quiet", onclick: unpick }),
  );
}

/** Ask for a label and give it to these pictures. */
function label(collection, keys, changed) {
  const known = collection.fields.find((field) => field.name === "label")?.values ?? [];
  const input = el("input", { id: "new-label", required: true, maxlength: "200", autocomplete: "off", list: "labels" });
  const told = el("p", { class: "bad-line", role: "alert" });
  const form = el(
    "form", { class: "pad stack", onsubmit: (event) => (event.preventDefault(), save()) },
    el("label", { for: "new-label" }, `Label for ${many(keys.length, "picture")}`), input,
    el("datalist", { id: "labels" }, known.map((one) => el("option", { value: String(one.value) }))),
    told,
    el("div", { class: "foot" }, el("button", { type: "submit", class: "button primary" }, "Save")),
  );
  const node = modal({ label: "Save as label", kind: "small" }, head("Save as label"), form);
  input.focus();
  const save = async () => {
    try {
      const answer = await call("POST", "feedback/label", { json: { collection: collection.name, label: input.value.trim(), keys } });
      node.close();
      toast(`${many(answer.changed, "picture")} labelled ${input.value.trim()}`);
      changed();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      told.textContent = `${error.message} ${error.hint}`;
    }
  };
}

/** Keep the thumbs, with what was searched for, to train on. */
async function keep(collection, up, down) {
  const { request, pictures } = await requested(collection);
  try {
    const answer = await posted("feedback/pairs", { collection: collection.name, examples: request.examples, up, down }, pictures);
    toast(`${many(answer.kept, "judgement")} kept for training: nearsight export --feedback`);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    toast(`${error.message} ${error.hint}`, { bad: true });
  }
}
