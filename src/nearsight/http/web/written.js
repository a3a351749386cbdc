// The written form of words and filters, as docs/queries.md has it: what the box shows of the chips. Reading it is the
// server's: what is plainly words needs no reading, everything else asks POST /query.

const PLAIN = /^[\p{L}\p{N}][\p{L}\p{N}\s'’,!?&-]*$/u;
const LIKE_A_PATH = /^(\.{0,2}|~)\/|\.\w{2,5}$/;

/** Whether a text is words and nothing else, so that it needs no grammar. */
export const plain = (text) => PLAIN.test(text) && !/\s[-+]/.test(text);

function quoted(text) {
  const safe = text.replace(/["\\]/g, "\\$&");
  return `"${LIKE_A_PATH.test(text) ? safe.replace(/[./]/g, "\\$&") : safe}"`;
}

/** The words among examples, as one would type them. */
export function words(examples) {
  let text = "";
  for (const { text: said, weight } of examples.filter((one) => one.text !== undefined)) {
    const sign = weight < 0 ? "- " : text ? "+ " : "";
    const factor = Math.abs(weight) === 1 ? "" : `${Math.abs(weight)}: `;
    text += `${text ? " " : ""}${sign}${factor}${plain(said) ? said : quoted(said)}`;
  }
  return text;
}

/** What a filter of one field says, for a chip. */
export function test(field, said) {
  if (said.in) return `${field}: ${said.in.join(", ")}`;
  const { gte, lte } = said;
  if (gte !== undefined && lte !== undefined) return gte === lte ? `${field}: ${gte}` : `${field}: ${gte} to ${lte}`;
  return gte !== undefined ? `${field}: from ${gte}` : `${field}: to ${lte}`;
}

const PANEL = new Set(["in", "gte", "lte"]);

/** A filter as the server gives it -> what the filters beside the pictures can say of it, or null where they cannot. */
export function forPanel(where) {
  const parts = where.all ?? [where];
  const panel = {};
  for (const part of parts) {
    for (const [field, given] of Object.entries(part)) {
      const said = given === null || typeof given !== "object" ? { in: [given] } : "eq" in given ? { in: [given.eq] } : given;
      if (["any", "all", "not"].includes(field) || !Object.keys(said).every((name) => PANEL.has(name))) return null;
      if (panel[field] && (panel[field].in || said.in)) return null;
      panel[field] = { ...panel[field], ...said };
    }
  }
  return panel;
}
