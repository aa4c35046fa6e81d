// A page that changes in place: on word of a change it fetches itself and takes over what is different.
const main = document.getElementById("main");
let tools;
let feed;
let fetching = false;
let wanted = false;
let timer = null;
let known = null; // the ETag of what is shown
let restsUntil = 0; // a page that is dear to make asks for some calm between two looks

const callbacks = {
  beforeNodeMorphed(old, fresh) {
    if (!(old instanceof Element)) return true;
    if (old.hasAttribute("data-keep")) return false;
    // A log goes on by itself, unless it is another attempt's now.
    return !(old.hasAttribute("data-log") && old.dataset.log === fresh.dataset?.log);
  },
  beforeAttributeUpdated: (name, node) => !(name === "open" && node.tagName === "DETAILS"),
};

async function refresh() {
  if (fetching) {
    wanted = true;
    return;
  }
  fetching = true;
  try {
    do {
      wanted = false;
      await new Promise((wake) => setTimeout(wake, restsUntil - performance.now()));
      if (document.hidden) break; // when it is seen again it is told to look at once
      restsUntil = performance.now() + 1000 * (main.dataset.calm ?? 0);
      await morph();
    } while (wanted);
  } catch {
    // The stream notices a lost connection and says so.
  } finally {
    fetching = false;
  }
}

async function morph() {
  const headers = { Accept: "text/html", ...(known && { "If-None-Match": known }) };
  const asked = location.href;
  const answer = await fetch(asked, { headers });
  if (answer.redirected && new URL(answer.url).pathname === "/login") return location.reload();
  if (answer.status === 304) return schedule();
  if (!answer.ok) return;
  const text = await answer.text();
  // Another pane was chosen meanwhile: this answer shows the one before.
  if (location.href !== asked) return void (wanted = true);
  known = answer.headers.get("ETag");
  const page = new DOMParser().parseFromString(text, "text/html");
  const fresh = page.getElementById("main");
  tools.localise(fresh);
  Idiomorph.morph(main, fresh.innerHTML, { morphStyle: "innerHTML", ignoreActiveValue: true, callbacks });
  document.title = page.title;
  const hadTopics = main.dataset.topics;
  main.dataset.topics = fresh.dataset.topics ?? "";
  main.dataset.refresh = fresh.dataset.refresh ?? "";
  if (main.dataset.topics !== hadTopics) listen();
  schedule();
  tools.afterMorph();
}

function schedule() {
  clearTimeout(timer);
  if (main.dataset.refresh) timer = setTimeout(() => (document.hidden ? schedule() : refresh()), main.dataset.refresh * 1000);
}

function listen() {
  feed?.close();
  feed = main.dataset.topics &&
    tools.connect(() => `/live?topics=${encodeURIComponent(main.dataset.topics)}`, { changed: refresh });
}

export function start(given) {
  tools = given;
  // A source tree may be without the library: its pages stay as they were loaded.
  if (!main.dataset.topics || !globalThis.Idiomorph) return;
  listen();
  schedule();
}
