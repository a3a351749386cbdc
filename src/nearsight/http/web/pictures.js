// Pictures that were dropped, pasted or chosen: kept in this browser alone, by a name that addresses can say.

const kept = new Map(); // name -> {blob, url}
const STORE = "pictures";

/** The browser's own store, so that a reload finds them; null where there is none (private mode). */
const opened = new Promise((done) => {
  try {
    const asked = indexedDB.open("nearsight", 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(STORE);
    asked.onsuccess = () => done(asked.result);
    asked.onerror = () => done(null);
  } catch {
    done(null);
  }
});

async function asked(mode, what) {
  const base = await opened;
  if (!base) return undefined;
  return new Promise((done) => {
    const request = what(base.transaction(STORE, mode).objectStore(STORE));
    request.onsuccess = () => done(request.result);
    request.onerror = () => done(undefined);
  });
}

/** Keep a picture; its name: letters and digits, beginning with p. */
export async function keep(blob) {
  const bytes = new Uint8Array(crypto.getRandomValues(new Uint8Array(6)));
  const name = `p${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  kept.set(name, { blob, url: URL.createObjectURL(blob) });
  asked("readwrite", (store) => store.put(blob, name));
  return name;
}

/** {blob, url} of a name, or null where this browser does not have it. */
export async function find(name) {
  if (!kept.has(name)) {
    const blob = await asked("readonly", (store) => store.get(name));
    if (!(blob instanceof Blob)) return null;
    kept.set(name, { blob, url: URL.createObjectURL(blob) });
  }
  return kept.get(name);
}

/** The pictures among files, a paste or a drop. */
export const among = (files) => [...(files ?? [])].filter((file) => file.type.startsWith("image/") || /\.(heic|heif|tiff?|webp|avif)$/i.test(file.name));
