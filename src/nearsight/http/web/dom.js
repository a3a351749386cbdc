// Elements without markup: every text goes in as a text node, so that a name or a label that holds script stays a text.

const PROPERTIES = new Set(["value", "checked", "disabled", "hidden", "selected", "multiple", "indeterminate"]);

/** An element with its attributes, its listeners (`onclick`), its dataset (`data`) and its children. */
export function el(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (PROPERTIES.has(name)) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const byId = (id) => document.getElementById(id);

const PATHS = {
  search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13ZM15.4 15.4 20 20",
  camera: "M4 8h3l1.5-2.5h7L17 8h3v11H4ZM12 10a3.2 3.2 0 1 1 0 6.4 3.2 3.2 0 0 1 0-6.4Z",
  close: "M6 6l12 12M18 6 6 18",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  up: "M7 10.5v9H4v-9ZM7 11l4-7c1.6 0 2.4 1 2.1 2.6L12.5 10H19c.9 0 1.6.9 1.3 1.8l-2 6.4c-.2.8-.9 1.3-1.7 1.3H7",
  down: "M7 13.5v-9H4v9ZM7 13l4 7c1.6 0 2.4-1 2.1-2.6l-.6-3.4H19c.9 0 1.6-.9 1.3-1.8l-2-6.4c-.2-.8-.9-1.3-1.7-1.3H7",
  upload: "M12 16V4M7.5 8.5 12 4l4.5 4.5M4 15v5h16v-5",
  copies: "M8 8h12v12H8ZM16 8V4H4v12h4",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM12 2.5v2M12 19.5v2M2.5 12h2M19.5 12h2M5.3 5.3l1.4 1.4M17.3 17.3l1.4 1.4M5.3 18.7l1.4-1.4M17.3 6.7l1.4-1.4",
  moon: "M19.5 14.5A8 8 0 0 1 9.5 4.5a8 8 0 1 0 10 10Z",
  auto: "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16ZM12 4v16M12 8h4.5M12 12h8M12 16h4.5",
  help: "M9 9a3 3 0 1 1 4.2 2.8c-.8.4-1.2 1-1.2 1.9v.6M12 17.6v.2",
  filter: "M4 6h16M7 12h10M10 18h4",
  left: "M14.5 5 8 12l6.5 7",
  right: "M9.5 5 16 12l-6.5 7",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13M10 11v5M14 11v5",
  compare: "M3.5 5h7v14h-7ZM13.5 5h7v14h-7Z",
  frame: "M4 8V4h4M16 4h4v4M20 16v4h-4M8 20H4v-4",
  out: "M13 4h7v7M20 4l-9 9M17 14v6H4V7h6",
  check: "M5 12.5 10 17l9-10",
  tag: "M4 4h8l8 8-8 8-8-8ZM8 8h.1",
  alike: "M9 9m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0M15 15m-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0",
  picture: "M4 5h16v14H4ZM4 16l5-5 4 4 3-3 4 4M15.5 9h.1",
  pen: "M4 20l1-4L16 5l3 3L8 19ZM13.5 7.5l3 3",
  keep: "M6 4h12v16l-6-4-6 4Z",
};

/** A drawn sign; what it means is said by the name of what holds it. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button: with a sign alone it needs `label`, with a text it may have both. */
export function button({ sign, text, label, kind = "plain", ...given }) {
  const name = label ?? null;
  return el(
    "button",
    { type: "button", class: `button ${kind}${text ? "" : " lone"}`, "aria-label": name, title: text ? null : name, ...given },
    sign ? icon(sign) : null,
    text ? el("span", {}, text) : null,
  );
}

/** A line that shows for a moment at the foot of the page; `action` is what can be done about it. */
export function toast(text, { action, onaction, bad = false } = {}) {
  const line = el("div", { class: `toast${bad ? " bad" : ""}` }, el("span", {}, text));
  if (action) {
    line.append(button({ text: action, kind: "link", onclick: () => (line.remove(), onaction()) }));
  }
  byId("toasts").append(line);
  setTimeout(() => line.remove(), bad || action ? 8000 : 4000);
}

const FOCUSABLE = "a[href], button:not([disabled]), input:not([disabled]), select, textarea, [tabindex]:not([tabindex='-1'])";

/** Draw a place anew; the focus that was on its nth control is on the nth again. */
export function redraw(place, ...nodes) {
  const stops = () => [...place.querySelectorAll(FOCUSABLE)];
  const at = stops().indexOf(document.activeElement);
  place.replaceChildren(...nodes);
  if (at >= 0) (stops()[at] ?? stops().at(-1))?.focus();
}

/** A modal dialog: Esc closes it, Tab stays in it, the focus goes back to where it was. `closed` is told once. */
export function modal({ label, kind = "", closed = () => {} }, ...children) {
  const before = document.activeElement;
  const node = el("dialog", { class: `modal ${kind}`, "aria-label": label }, ...children);
  node.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key !== "Tab") return;
    const stops = [...node.querySelectorAll(FOCUSABLE)].filter((one) => one.checkVisibility());
    const [first, last] = [stops[0], stops.at(-1)];
    if (event.shiftKey ? document.activeElement === first : document.activeElement === last) {
      event.preventDefault();
      (event.shiftKey ? last : first).focus();
    }
  });
  node.addEventListener("click", (event) => {
    if (event.target === node && kind !== "viewer") node.close();
  });
  node.addEventListener("close", () => {
    node.remove();
    closed();
    if (before?.isConnected) before.focus();
  });
  document.body.append(node);
  node.showModal();
  return node;
}

/** The head of a dialog: its title and the button that closes it. */
export function head(title) {
  return el(
    "header",
    { class: "head" },
    el("h2", {}, title),
    button({ sign: "close", label: "Close", onclick: (event) => event.currentTarget.closest("dialog").close() }),
  );
}

/** Asked before what cannot be taken back: true where the answer is yes. */
export function confirmed(title, text, yes) {
  return new Promise((answer) => {
    let said = false;
    const node = modal(
      { label: title, kind: "small", closed: () => answer(said) },
      head(title),
      el("p", { class: "pad" }, text),
      el(
        "footer",
        { class: "foot" },
        button({ text: "Keep", kind: "plain", onclick: () => node.close() }),
        button({ text: yes, kind: "danger", onclick: () => ((said = true), node.close()) }),
      ),
    );
  });
}

export const count = new Intl.NumberFormat("en").format;

/** "1 picture", "2 pictures". */
export const many = (n, one, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;
