// All that the page asks of its server, and what it does when the server says no: wait, ask for the token, or say why.

/** What went wrong, as `application/problem+json` says it: a `code`, a repair (`hint`), a place in the written query. */
export class Problem extends Error {
  constructor(told) {
    super(told.detail || told.title || "Something went wrong");
    Object.assign(this, { status: 0, code: "", hint: "", ...told });
  }
}

/** Faces that the page sets: `waiting(seconds)` while the server is busy (0: no more), `token(wrong)` asks for it. */
export const faces = { waiting: () => {}, token: async () => null };

const TRIES = 5;
let session = null;

/** The address of a route below the page's own, with its query; null and undefined are left out. */
export function address(path, query = {}) {
  const url = new URL(path, document.baseURI);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url.href;
}

export const thumbnail = (collection, key, side = devicePixelRatio > 1.5 ? 512 : 320) =>
  address(`items/${key}/thumbnail`, { collection, side });

export const picture = (collection, key) => address(`items/${key}/picture`, { collection });

/** One call; the answer's JSON, or null where it has none. Raises Problem; AbortError where `signal` says so. */
export async function call(method, path, { query, json, form, signal } = {}) {
  const told = { method, signal, credentials: "same-origin", headers: { Accept: "application/json" } };
  if (form) told.body = form;
  else if (json !== undefined) {
    told.body = JSON.stringify(json);
    told.headers["Content-Type"] = "application/json";
  }
  for (let attempt = 1; ; attempt += 1) {
    const answer = await reached(address(path, query), told);
    if (answer.ok) return answer.status === 204 ? null : answer.json();
    const problem = await problemOf(answer);
    if (answer.status === 401 && attempt < TRIES) await signedIn();
    else if ((answer.status === 503 || answer.status === 429) && attempt < TRIES) await waited(problem.after, signal);
    else throw problem;
  }
}

async function reached(url, told) {
  try {
    return await fetch(url, told);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({
      code: "offline",
      title: "The server does not answer",
      detail: navigator.onLine ? "The server does not answer." : "This device is offline.",
      hint: navigator.onLine ? "Is nearsight serve still running?" : "The page goes on by itself once it is back.",
    });
  }
}

/** The problem in an answer that is none, whoever sent it (a proxy sends HTML). */
export async function problemOf(answer) {
  const told = await answer.json().catch(() => ({}));
  const after = Math.min(Math.max(Number(answer.headers.get("Retry-After")) || 1, 1), 30);
  return new Problem({ title: `The server says ${answer.status}`, ...told, status: answer.status, after });
}

async function waited(seconds, signal) {
  faces.waiting(seconds);
  try {
    await new Promise((done, stop) => {
      const timer = setTimeout(done, seconds * 1000);
      signal?.addEventListener("abort", () => (clearTimeout(timer), stop(signal.reason)), { once: true });
    });
  } finally {
    faces.waiting(0);
  }
}

/** The token is asked for once, however many calls wait for it. */
export function signedIn() {
  session ??= signIn().finally(() => (session = null));
  return session;
}

async function signIn() {
  for (let wrong = false; ; wrong = true) {
    const token = await faces.token(wrong);
    if (token === null) {
      throw new Problem({
        status: 401,
        code: "http/token",
        detail: "This server wants a token.",
        hint: "Whoever started it has it: nearsight serve --token.",
      });
    }
    const answer = await reached(address("session"), {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token }),
    });
    if (answer.ok) return;
    if (answer.status !== 401) throw await problemOf(answer);
  }
}

/** POST a search, or what was judged of one: JSON alone, or a form with the pictures that its examples name. */
export function posted(path, request, pictures, signal) {
  if (!pictures.size) return call("POST", path, { json: request, signal });
  const form = new FormData();
  form.append("request", JSON.stringify(request));
  for (const [name, blob] of pictures) form.append(name, blob, "picture");
  return call("POST", path, { form, signal });
}

export const search = (request, pictures = new Map(), signal = null) => posted("search", request, pictures, signal);

/** POST with its progress, which `fetch` does not tell: `told(share)` from 0 to 1. */
export function sent(path, query, form, told, signal) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(path, query));
    request.responseType = "text";
    request.upload.onprogress = (event) => event.lengthComputable && told(event.loaded / event.total);
    request.onload = () => {
      const headers = new Headers({ "Retry-After": request.getResponseHeader("Retry-After") ?? "" });
      done(new Response(request.responseText, { status: request.status, headers }));
    };
    request.onerror = () => failed(new Problem({ code: "offline", detail: "The server does not answer.", hint: "Is nearsight serve still running?" }));
    request.onabort = () => failed(new DOMException("stopped", "AbortError"));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(form);
  });
}
