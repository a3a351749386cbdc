// What is shown, as the address bar holds it: back, forward, reload and a link that is sent all find the same.

const EMPTY = {
  collection: null, // name; null is the first
  examples: [], // [{text | key | picture, box?, weight}]
  where: {}, // {field: {in: [...]} | {gte?, lte?}}: what the filters beside the pictures say
  also: null, // {where, filter}: a filter that was written, beyond what those can say
  atLeast: null, // min_score of a written query
  fold: null, // cosine
  verdict: null, // "likely" | "sure": leave out what is below
  up: [],
  down: [],
  captions: false, // search among captions
  view: "pictures", // | "duplicates"
  open: null, // key, or the name of a picture that was given
  compare: null, // [key, key]
};

export let state = { ...EMPTY };
const told = [];

/** `hear(now, before)` after every change, whoever made it. */
export const subscribe = (hear) => told.push(hear);

const example = ({ text, key, picture, box, weight }) =>
  text !== undefined
    ? `${weight}~text~${text}`
    : [weight, key !== undefined ? "key" : "picture", key ?? picture, ...(box ? [box.join(",")] : [])].join("~");

function exampleOf(written) {
  const [weight, kind, ...rest] = written.split("~");
  const source = kind === "text" ? { text: rest.join("~") } : kind === "key" ? { key: Number(rest[0]) } : { picture: rest[0] };
  const box = kind !== "text" && rest[1] ? { box: rest[1].split(",").map(Number) } : {};
  return { ...source, ...box, weight: Number(weight) || 1 };
}

const numbers = (text) => (text ? text.split(",").map(Number).filter(Number.isInteger) : []);

function json(text, otherwise) {
  try {
    return text ? JSON.parse(text) : otherwise;
  } catch {
    return otherwise;
  }
}

/** The state that an address says; what it does not understand is left out. */
export function read(search) {
  const query = new URLSearchParams(search);
  const open = query.get("open");
  const compare = numbers(query.get("compare"));
  return {
    ...EMPTY,
    collection: query.get("in"),
    examples: query.getAll("q").map(exampleOf),
    where: json(query.get("where"), {}),
    also: json(query.get("also"), null),
    atLeast: Number(query.get("min")) || null,
    fold: Number(query.get("fold")) || null,
    verdict: ["likely", "sure"].includes(query.get("verdict")) ? query.get("verdict") : null,
    up: numbers(query.get("up")),
    down: numbers(query.get("down")),
    captions: query.has("captions"),
    view: query.get("view") === "duplicates" ? "duplicates" : "pictures",
    open: open && /^\d+$/.test(open) ? Number(open) : open,
    compare: compare.length === 2 ? compare : null,
  };
}

/** The address that says this state. */
export function written(now) {
  const query = new URLSearchParams();
  if (now.collection) query.set("in", now.collection);
  for (const one of now.examples) query.append("q", example(one));
  if (Object.keys(now.where).length) query.set("where", JSON.stringify(now.where));
  if (now.also) query.set("also", JSON.stringify(now.also));
  if (now.atLeast !== null) query.set("min", now.atLeast);
  if (now.fold !== null) query.set("fold", now.fold);
  if (now.verdict) query.set("verdict", now.verdict);
  if (now.up.length) query.set("up", now.up.join(","));
  if (now.down.length) query.set("down", now.down.join(","));
  if (now.captions) query.set("captions", "");
  if (now.view !== "pictures") query.set("view", now.view);
  if (now.open !== null) query.set("open", now.open);
  if (now.compare) query.set("compare", now.compare.join(","));
  return `${location.pathname}${query.size ? `?${query}` : ""}`;
}

function tell(next) {
  const before = state;
  state = next;
  for (const hear of told) hear(state, before);
}

let leaving = null; // a way back that the browser has not gone yet: what is asked for meanwhile comes after it

/** Change the state. `over`: something that lies over the page and that Back should close. */
export function go(change, { replace = false, over = false } = {}) {
  if (leaving) {
    leaving.then(() => go(change, { replace, over }));
    return;
  }
  const next = { ...state, ...change };
  const url = written(next);
  if (url !== written(state)) {
    if (replace) history.replaceState(history.state, "", url);
    else history.pushState({ over }, "", url);
  }
  tell(next);
}

/** Close what lies over the page: by going back to where it was opened from, where that was this page. */
export function back(change) {
  if (history.state?.over && !leaving) {
    leaving = new Promise((done) => addEventListener("popstate", () => ((leaving = null), done()), { once: true }));
    history.back();
  } else go(change, { replace: true });
}

/** Read the address and follow it from now on. */
export function start() {
  addEventListener("popstate", () => tell(read(location.search)));
  tell(read(location.search));
}

/** Nothing is asked for: the collection is browsed. */
export const browsing = (now) => !now.examples.length && !now.up.length && !now.down.length;

/** The filter of the request: what the filters say and what was written. */
export function filterOf(now) {
  const parts = Object.entries(now.where).map(([field, test]) => ({ [field]: test }));
  if (now.also) parts.push(now.also.where);
  return parts.length > 1 ? { all: parts } : (parts[0] ?? null);
}

/** What of the state decides which pictures are shown; two that are equal here show the same. */
export const searched = ({ open, compare, ...rest }) => JSON.stringify(rest);
