// A running `nearsight index`, of any process: how far it is, and news of it when it is done.

import { call, Problem } from "./api.js";
import { byId, count, el, many, toast } from "./dom.js";

const BUSY = 2000; // ms between two looks while something runs
const IDLE = 15_000;

let timer;

/** Look from now on. `current()` describes the collection, `changed()` when it has grown. */
export function watch(current, changed) {
  let ran = false;
  const look = async () => {
    clearTimeout(timer);
    let jobs = [];
    try {
      if (!document.hidden && current()) ({ jobs } = await call("GET", "progress", { query: { collection: current().name } }));
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // the search says that the server is away; this is only news
    }
    draw(jobs);
    if (ran && !jobs.length && !document.hidden) {
      toast("Indexing is done");
      changed();
    }
    ran = document.hidden ? ran : jobs.length > 0;
    timer = setTimeout(look, jobs.length ? BUSY : IDLE);
  };
  document.addEventListener("visibilitychange", () => !document.hidden && look());
  look();
  return look;
}

function draw(jobs) {
  byId("progress").hidden = !jobs.length;
  byId("progress").replaceChildren(
    ...jobs.map((job) => {
      const bar = el("progress", { max: String(job.total || 1), "aria-label": "Indexing" });
      if (job.total) bar.value = job.done;
      const parts = [
        what(job),
        job.rate ? `${count(Math.round(job.rate))} a second` : null,
        job.left_s ? left(job.left_s) : null,
        job.skipped ? `${count(job.skipped)} skipped` : null,
      ];
      return el("div", { class: "job" }, el("span", {}, parts.filter(Boolean).join(" · ")), bar);
    }),
  );
}

function what({ stage, done, total }) {
  if (stage === "engine") return `Building the search index${total ? `: ${count(done)} of ${count(total)}` : ""}`;
  return total ? `Indexing ${count(done)} of ${many(total, "picture")}` : `Indexing: ${many(done, "picture")} so far`;
}

const left = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s left` : `${Math.round(seconds / 60)} min left`);
