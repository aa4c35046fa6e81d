// What a page follows. It rests while nobody looks, says when the connection is gone, and shares it with other tabs.
const PAUSE = 3; // seconds between two tries, as in feeds.js
const HERE = 20000; // ms between two signs of life
const banner = document.querySelector("[data-stale]");
const seconds = document.querySelector("[data-stale-seconds]");
const version = new URL(import.meta.url).search;
const followed = new Map(); // by id: { address, on }
let hub = null;
let count = 0;
let countdown = null;

function say(isLost) {
  banner.hidden = !isLost;
  clearInterval(countdown);
  let left = PAUSE;
  seconds.textContent = left;
  if (isLost) countdown = setInterval(() => { left = Math.max(left - 1, 1); seconds.textContent = left; }, 1000);
}

function hear({ id, name, data, lastEventId, state }) {
  if (state === "out") location.reload(); // which leads to the log-in, and back
  else if (state === "anew") start();
  else if (state) say(state === "lost" && followed.size > 0 && !document.hidden);
  else followed.get(id)?.on[name]?.({ data, lastEventId });
}

function start() {
  if (document.hidden) return;
  for (const [id, { address }] of followed) hub({ add: id, address: address() });
}

const rest = () => hub?.({ bye: true });

function look() {
  if (!hub) return;
  if (document.hidden) {
    for (const id of followed.keys()) hub({ remove: id });
    say(false);
  } else start();
}

async function own() {
  const { join } = await import(`./feeds.js${version}`);
  const { take } = join(hear);
  hub = take;
  start();
}

function shared() {
  const worker = new SharedWorker(`/static/feeds.js${version}`, { type: "module" });
  worker.onerror = own;
  worker.port.onmessage = ({ data }) => hear(data);
  hub = (message) => worker.port.postMessage(message);
}

function begin() {
  if (globalThis.SharedWorker) shared();
  else own();
  document.addEventListener("visibilitychange", look);
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => { if (event.persisted) start(); });
  setInterval(() => { if (!document.hidden) hub?.({}); }, HERE);
}

/** `address()` is asked for anew as the page begins to look again; `on` are handlers by event. */
export function connect(address, on) {
  if (!count) begin();
  count += 1;
  const id = `s${count}`;
  followed.set(id, { address, on });
  if (hub && !document.hidden) hub({ add: id, address: address() });
  return {
    close() {
      if (followed.delete(id)) hub?.({ remove: id });
    },
  };
}
