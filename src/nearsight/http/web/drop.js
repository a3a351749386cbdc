// A picture that is dropped anywhere, or pasted: search by it, or add it.

import { byId, el, icon } from "./dom.js";
import { among } from "./pictures.js";
import { chosen } from "./query.js";
import { choose } from "./upload.js";

const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");

/** `current()` describes the collection. */
export function listen(current) {
  addEventListener("dragenter", (event) => holdsFiles(event) && !document.querySelector("dialog[open]") && show(current()));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("dragleave", (event) => event.relatedTarget === null && hide());
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    const adds = event.target.closest?.(".drop .add");
    hide();
    if (adds) choose(current(), event.dataTransfer.files);
    else if (!document.querySelector("dialog[open]")) chosen(event.dataTransfer.files);
  });
  addEventListener("keydown", (event) => event.key === "Escape" && hide());
  addEventListener("paste", (event) => {
    const pictures = among(event.clipboardData?.files);
    if (!pictures.length || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    chosen(pictures);
  });
}

function show(collection) {
  if (byId("drop")) return;
  const zone = (kind, sign, text) => el("div", { class: `zone ${kind}` }, icon(sign), el("strong", {}, text));
  document.body.append(
    el("div", { class: "drop", id: "drop" }, zone("by", "search", "Search by it"), collection?.writable ? zone("add", "upload", `Add to ${collection.name}`) : null),
  );
}

const hide = () => byId("drop")?.remove();
