// All that the open pages follow, over one connection: the shared worker of a browser's tabs, or, where a browser has
// none, a part of each page. A browser opens no more than six connections to a server, whatever the number of tabs.
const PAUSE = 3000; // ms until a lost connection is tried again
const SOON = 30; // ms in which a page begins to follow all that it wants
const SILENCE = 60000; // ms after which a tab is taken for gone; each says that it is there every 20 s
const clients = new Set();
const feeds = new Map(); // by key: { client, id, address, last }
let current = null; // what aborts the connection
let timer = null;
let count = 0;

/** A page that begins; `send` takes what it is told. What it has to say is given to `take`. */
export function join(send) {
  const client = { send, heard: Date.now() };
  clients.add(client);
  return {
    take({ add, address, remove, bye }) {
      if (bye) return leave(client);
      client.heard = Date.now();
      if (!clients.has(client)) {
        clients.add(client);
        send({ state: "anew" }); // it was taken for gone, as a machine that sleeps lets nobody speak
      }
      if (add) begin(client, add, address);
      else if (remove) end(client, remove);
    },
  };
}

function begin(client, id, address) {
  end(client, id);
  count += 1;
  feeds.set(`f${count}`, { client, id, address, last: null });
  plan(SOON);
}

function end(client, id) {
  const over = [...feeds].filter(([, feed]) => feed.client === client && (!id || feed.id === id));
  for (const [key] of over) feeds.delete(key);
  if (over.length) plan(SOON);
}

function leave(client) {
  clients.delete(client);
  end(client);
}

function plan(wait) {
  clearTimeout(timer);
  timer = setTimeout(open, wait);
}

function tell(state) {
  for (const { send } of clients) send({ state });
}

function query() {
  const asked = new URLSearchParams();
  for (const [key, { address, last }] of feeds) {
    const url = new URL(address, location.origin);
    if (last) url.searchParams.set("from", last);
    asked.set(key, url.pathname + url.search);
  }
  return asked;
}

// Whatever is followed anew needs a connection of all. The server says `changed` at the beginning of each, so no change
// is lost between two; a log goes on from its last line.
async function open() {
  current?.abort();
  const mine = new AbortController();
  const begunAt = Date.now();
  current = mine;
  if (!feeds.size) return;
  let wasEnded = false;
  try {
    const answer = await fetch(`/streams?${query()}`, { redirect: "manual", signal: mine.signal });
    if (answer.type === "opaqueredirect") return tell("out");
    if (!answer.ok) throw new Error(`the stream answered ${answer.status}`);
    tell("open");
    for await (const event of events(answer.body)) if (mine === current) take(event);
    wasEnded = Date.now() - begunAt > PAUSE;
  } catch {
    // It is lost, unless another has taken its place.
  }
  if (mine !== current || !feeds.size) return;
  // One that a server has ended is asked for again at once: it says whether this visitor may go on.
  if (!wasEnded) tell("lost");
  plan(wasEnded ? 0 : PAUSE);
}

function take({ name, data, id }) {
  const [key, kind] = name.split(":");
  const feed = feeds.get(key);
  if (!feed) return;
  if (id) feed.last = id;
  if (kind === "over" || kind === "end") feeds.delete(key); // its last word
  if (kind !== "over") feed.client.send({ id: feed.id, name: kind, data, lastEventId: id ?? "" });
}

/** The server-sent events of an answer. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = (text + value).split("\n\n");
    text = whole.pop();
    for (const each of whole) {
      const event = { name: "", data: [], id: null };
      for (const line of each.split("\n")) {
        const [, field, content] = /^(\w*): ?(.*)$/s.exec(line) ?? [];
        if (field === "data") event.data.push(content);
        else if (field === "event") event.name = content;
        else if (field === "id") event.id = content;
      }
      if (event.name) yield { ...event, data: event.data.join("\n") };
    }
  }
}

if (globalThis.SharedWorkerGlobalScope) {
  globalThis.onconnect = ({ ports: [port] }) => {
    const page = join((message) => port.postMessage(message));
    port.onmessage = ({ data }) => page.take(data);
  };
  setInterval(() => {
    for (const client of clients) if (Date.now() - client.heard > SILENCE) leave(client);
  }, SILENCE / 3);
}
