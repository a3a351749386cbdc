// The keyboard: what works everywhere, and the list of what works where.

import { el, head, modal } from "./dom.js";
import { enter, focused } from "./grid.js";
import { focus } from "./query.js";
import { marks } from "./actions.js";
import { go } from "./state.js";

const LIST = [
  ["/", "to the search"],
  ["↓", "from the search to the pictures"],
  ["← ↑ → ↓", "from picture to picture"],
  ["Enter", "open it"],
  ["Esc", "close it"],
  ["s", "search by this picture"],
  ["+", "more like this"],
  ["−", "less like this"],
  ["u", "thumb up: a good answer"],
  ["d", "thumb down: a bad answer"],
  ["r", "refine by the thumbs"],
  ["x", "choose it"],
  ["c", "compare the two that are chosen"],
  ["?", "this list"],
];

export function help() {
  modal(
    { label: "Keys", kind: "small" }, head("Keys"),
    el("dl", { class: "keys pad" }, LIST.flatMap(([key, what]) => [el("dt", {}, key.split(" ").map((one) => el("kbd", {}, one))), el("dd", {}, what)])),
  );
}

const EVERYWHERE = {
  "/": focus,
  "?": help,
  r: () => (marks.up.size || marks.down.size) && go({ up: [...marks.up], down: [...marks.down], view: "pictures" }),
  c: () => marks.picked.size === 2 && go({ compare: [...marks.picked] }, { over: true }),
};

export function listen() {
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input, textarea, select");
    if (typing && event.key === "ArrowDown" && event.target.id === "words") enter();
    else if (typing && event.key === "Escape") event.target.blur();
    else if (typing) return;
    else if (EVERYWHERE[event.key]) EVERYWHERE[event.key]();
    else if (/^Arrow(Down|Right)$/.test(event.key) && !focused() && event.target === document.body) enter();
    else return;
    event.preventDefault();
  });
}
