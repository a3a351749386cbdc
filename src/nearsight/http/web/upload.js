// Pictures into the collection: chosen or dropped, sent one after another, each with its progress and its reason.

import { Problem, problemOf, sent, signedIn } from "./api.js";
import { button, el, head, icon, modal } from "./dom.js";
import { among } from "./pictures.js";
import { go } from "./state.js";

let changed = () => {};

/** `told()` after pictures were added. */
export const listen = (told) => (changed = told);

/** Ask which pictures, with those that were dropped already. */
export function choose(collection, files = []) {
  let stop = new AbortController();
  const known = collection.fields.find((field) => field.name === "label")?.values ?? [];
  const list = el("ul", { class: "files", "aria-label": "Pictures" });
  const told = el("p", { class: "told", role: "status" });
  const label = el("input", { id: "upload-label", autocomplete: "off", maxlength: "200", placeholder: "none", list: "upload-labels" });
  const input = el("input", { type: "file", accept: "image/*", multiple: true, class: "sr", id: "upload-files", onchange: () => (start(input.files), (input.value = "")) });
  const area = el(
    "label", { class: "area", for: "upload-files" }, icon("upload"), el("strong", {}, "Choose pictures"), el("span", { class: "soft" }, "or drop them here"), input,
  );
  area.addEventListener("dragover", (event) => (event.preventDefault(), area.classList.add("over")));
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    area.classList.remove("over");
    start(event.dataTransfer.files);
  });
  const total = { added: 0, known: 0, skipped: 0, left: 0 };
  const foot = el("div", { class: "foot" });
  const node = modal(
    { label: "Add pictures", kind: "upload", closed: () => (stop.abort(), total.added && changed()) },
    head(`Add pictures to ${collection.name}`),
    el("div", { class: "pad stack" }, area,
      el("div", { class: "joined" }, el("label", { for: "upload-label" }, "Label for all"), label, el("datalist", { id: "upload-labels" }, known.map((one) => el("option", { value: String(one.value) })))),
      told, list),
    foot,
  );
  const say = () => {
    const parts = [[total.added, "added"], [total.known, "already there"], [total.skipped, "skipped"], [total.left, "to go"]];
    told.textContent = parts.filter(([n]) => n).map(([n, what]) => `${n} ${what}`).join(", ");
    const done = button({ text: "Done", kind: "primary", onclick: () => node.close() });
    const show = button({ text: "Show them", kind: "plain", onclick: () => (node.close(), go({ examples: [], up: [], down: [], where: {}, also: null, view: "pictures", open: null })) });
    const cancel = button({ text: "Stop", kind: "plain", onclick: () => (stop.abort(), (stop = new AbortController())) });
    foot.replaceChildren(...(total.left ? [cancel] : total.added ? [show, done] : []));
  };
  let queue = Promise.resolve();
  const start = (given) => {
    const { signal } = stop;
    for (const file of given) {
      const line = row(file);
      list.prepend(line.node);
      total.left += 1;
      queue = queue.then(async () => {
        const ended = signal.aborted ? { status: "stopped" } : await one(collection, file, label.value.trim(), line, signal);
        line.end(ended);
        total.left -= 1;
        if (ended.status in total) total[ended.status] += 1;
        say();
      });
    }
    say();
  };
  start(among(files));
}

function row(file) {
  const bar = el("progress", { max: "1", value: "0", "aria-label": `Progress of ${file.name}` });
  const why = el("span", { class: "why soft" });
  const node = el("li", {}, el("span", { class: "file" }, file.name), why, bar);
  return {
    node,
    share: (value) => {
      bar.value = value;
      if (value >= 1) bar.removeAttribute("value"); // sent: the server is at work
    },
    wait: (text) => (why.textContent = text),
    end: ({ status, text }) => {
      bar.remove();
      node.classList.add(status);
      why.textContent = text ?? { added: "added", known: "already there", stopped: "stopped" }[status];
    },
  };
}

/** Send one file; {status, text}. A busy server is waited for, a missing token asked for. */
async function one(collection, file, label, line, signal) {
  const form = new FormData();
  form.append("pictures", file, file.name);
  if (label) form.append("label", label);
  for (let attempt = 1; ; attempt += 1) {
    try {
      const answer = await sent("items", { collection: collection.name }, form, line.share, signal);
      if (answer.ok) {
        const { items, skipped } = await answer.json();
        return skipped.length ? reason(skipped[0]) : { status: items[0]?.status ?? "added" };
      }
      const problem = await problemOf(answer);
      if (answer.status === 401 && attempt < 5) await signedIn();
      else if ([409, 429, 503].includes(answer.status) && attempt < 5) {
        line.wait(`waiting ${problem.after} s`);
        await new Promise((done) => setTimeout(done, problem.after * 1000));
      } else return reason({ ...problem, detail: problem.message });
    } catch (error) {
      if (error.name === "AbortError") return { status: "stopped" };
      if (!(error instanceof Problem)) throw error;
      return reason({ detail: error.message, hint: error.hint });
    }
  }
}

const reason = ({ detail, hint }) => ({ status: "skipped", text: [detail, hint].filter(Boolean).join(" ") });
