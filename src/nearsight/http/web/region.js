// A box on a picture: drawn by dragging, moved and sized by its handles or by arrow keys, in pixels of the picture.

import { el } from "./dom.js";

const LEAST = 8; // pixels of the screen: less is a click
const STEP = 0.02; // of the picture, a press of an arrow

/**
 * Let boxes be drawn on `frame`, which holds exactly the picture. `told(box)` gets shares [left, top, right, bottom]
 * of its sides, or null where the box was taken away.
 */
export function region(frame, told) {
  const node = el("div", {
    class: "box", hidden: true, tabindex: "0", role: "group",
    "aria-label": "Region. Arrows move it, Shift and arrows size it, Enter searches, Delete removes it.",
  }, ["nw", "ne", "sw", "se"].map((corner) => el("span", { class: `handle ${corner}`, data: { corner } })));
  frame.append(node);
  let box = null;

  const show = (next) => {
    box = next;
    node.hidden = !box;
    if (box) {
      const [left, top, right, bottom] = box.map((share) => 100 * share);
      Object.assign(node.style, { left: `${left}%`, top: `${top}%`, width: `${right - left}%`, height: `${bottom - top}%` });
    }
    told(box);
  };
  const at = (event) => {
    const area = frame.getBoundingClientRect();
    const share = (value, size) => Math.min(Math.max(value / size, 0), 1);
    return [share(event.clientX - area.left, area.width), share(event.clientY - area.top, area.height)];
  };
  const between = ([a, b], [c, d]) => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];

  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    frame.setPointerCapture(event.pointerId);
    const begun = at(event);
    const before = box;
    const corner = event.target.dataset.corner;
    const inside = event.target === node;
    let anchor = begun;
    if (corner) anchor = [corner.includes("w") ? box[2] : box[0], corner.includes("n") ? box[3] : box[1]];
    const move = (now) => {
      const here = at(now);
      if (!inside) return show(between(anchor, here));
      return show(moved(before, here[0] - begun[0], here[1] - begun[1]));
    };
    const end = () => {
      frame.removeEventListener("pointermove", move);
      frame.removeEventListener("pointerup", end);
      frame.removeEventListener("pointercancel", end);
      const area = frame.getBoundingClientRect();
      if (box && ((box[2] - box[0]) * area.width < LEAST || (box[3] - box[1]) * area.height < LEAST)) show(null);
      else if (box) node.focus();
    };
    frame.addEventListener("pointermove", move);
    frame.addEventListener("pointerup", end);
    frame.addEventListener("pointercancel", end);
  });

  node.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
    if (by) {
      event.preventDefault();
      event.stopPropagation();
      show(event.shiftKey ? sized(box, ...by) : moved(box, ...by));
    } else if (event.key === "Delete" || event.key === "Backspace") show(null);
  });
  return { show, focus: () => node.focus() };
}

function moved([left, top, right, bottom], dx, dy) {
  const x = Math.min(Math.max(dx, -left), 1 - right);
  const y = Math.min(Math.max(dy, -top), 1 - bottom);
  return [left + x, top + y, right + x, bottom + y];
}

const sized = ([left, top, right, bottom], dx, dy) => [
  left, top, Math.min(Math.max(right + dx, left + STEP), 1), Math.min(Math.max(bottom + dy, top + STEP), 1),
];

/** Shares of the sides -> whole pixels of a picture of this size: at least one, never outside. */
export function pixels([left, top, right, bottom], width, height) {
  const [l, t] = [Math.min(Math.floor(left * width), width - 1), Math.min(Math.floor(top * height), height - 1)];
  return [l, t, Math.max(Math.min(Math.ceil(right * width), width), l + 1), Math.max(Math.min(Math.ceil(bottom * height), height), t + 1)];
}
