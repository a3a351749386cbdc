// What stands in place of pictures, or above them: nothing there, no match, waiting, something wrong, each with a way on.

import { faces, signedIn } from "./api.js";
import { button, byId, count, el, head, icon, modal } from "./dom.js";

/** Draw a notice above the results; null takes it away. */
export function notice(kind, title, text, ...ways) {
  byId("notice").replaceChildren(
    kind
      ? el("div", { class: `notice ${kind}` }, el("h2", {}, title), text ? el("p", {}, text) : null, el("div", { class: "ways" }, ways.filter(Boolean)))
      : "",
  );
}

/** In place of the results: nothing is there, and what to do. */
export function nothing(sign, title, text, ...ways) {
  byId("results").replaceChildren(
    el("div", { class: "nothing" }, el("span", { class: "circle" }, icon(sign)), el("h2", {}, title), el("p", {}, text), el("div", { class: "ways" }, ways.filter(Boolean))),
  );
}

/** A problem, in words, with its repair and another try. */
export function trouble(problem, again) {
  const offline = problem.code === "offline";
  if (offline) addEventListener("online", again, { once: true });
  notice(
    "bad", problem.message, problem.hint,
    button({ text: "Try again", kind: "primary", onclick: again }),
    problem.status === 401 ? button({ text: "Enter the token", onclick: () => signedIn().then(again, () => {}) }) : null,
  );
}

/** Wire what `api` shows while it waits, and how it asks for the token. */
export function listen() {
  let timer;
  faces.waiting = (seconds) => {
    clearInterval(timer);
    const line = byId("busy");
    if (!seconds) return line?.remove();
    const told = line ?? el("div", { id: "busy", class: "toast", role: "status" });
    byId("toasts").append(told);
    let left = seconds;
    const draw = () => (told.textContent = `The server is busy. Trying again in ${count(left)} s`);
    draw();
    timer = setInterval(() => ((left = Math.max(left - 1, 0)), draw()), 1000);
    return undefined;
  };
  faces.token = (wrong) =>
    new Promise((answer) => {
      let token = null;
      const input = el("input", { type: "password", id: "token", autocomplete: "current-password", required: true, "aria-describedby": "token-why" });
      const form = el(
        "form", { class: "pad stack", onsubmit: (event) => (event.preventDefault(), (token = input.value), node.close()) },
        el("p", { id: "token-why" }, wrong ? "That was not the token. Please try again." : "This server shows its pictures to those who have its token."),
        el("label", { for: "token" }, "Token"), input,
        el("p", { class: "soft" }, "Whoever started it has it: nearsight serve --token. It is asked for once in this browser."),
        el("div", { class: "foot" }, el("button", { type: "submit", class: "button primary" }, "Open")),
      );
      const node = modal({ label: "Token", kind: "small", closed: () => answer(token) }, head("A token, please"), form);
      input.focus();
    });
}
