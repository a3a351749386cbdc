// What can be done to a picture, from its tile, from the viewer and by a key: the same words for all three.

import { add, fresh } from "./query.js";
import { go, state } from "./state.js";

const hearers = [];

/** Marks that were given and not yet searched with, and what is chosen to be compared. Keys, in the order given. */
export const marks = { up: new Set(), down: new Set(), picked: new Set() };

/** `hear()` after every change of the marks. */
export const marked = (hear) => hearers.push(hear);
const tell = () => hearers.forEach((hear) => hear());

export const open = (key) => go({ open: key }, { over: state.open === null, replace: state.open !== null });
export const more = (key) => add({ key, weight: 1 });
export const less = (key) => add({ key, weight: -1 });
export const alike = (key) => fresh({ examples: [{ key, weight: 1 }] });

/** Thumb up or down; the same again takes it back. */
export function thumb(key, way) {
  const other = way === "up" ? "down" : "up";
  marks[other].delete(key);
  if (!marks[way].delete(key)) marks[way].add(key);
  tell();
}

/** Choose a picture, to compare two or to label several. */
export function pick(key) {
  if (!marks.picked.delete(key)) marks.picked.add(key);
  tell();
}

export function unpick() {
  marks.picked.clear();
  tell();
}

/** The marks as the state has them: after Back, and where a search was given up. */
export function follow(now) {
  marks.up = new Set(now.up);
  marks.down = new Set(now.down);
  tell();
}

/** A picture that is gone is nowhere marked. */
export function forget(key) {
  for (const set of Object.values(marks)) set.delete(key);
  tell();
}
