// Times in the reader's zone and words; durations that go on; all from what the server wrote.
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const year = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

const words = {
  ago(at, now) {
    const seconds = (now - at) / 1000;
    const ahead = seconds < 0;
    const n = Math.abs(seconds);
    if (n < 5) return "now";
    const text = n < 60 ? `${Math.floor(n)} s` : n < 3600 ? `${Math.floor(n / 60)} min` : n < 86400 ? `${Math.floor(n / 3600)} h` : null;
    if (text === null) return dated(at, now);
    return ahead ? `in ${text}` : `${text} ago`;
  },
  full(at, now) {
    const near = Math.round((midnight(now) - midnight(at)) / 86400e3);
    const name = { 0: "today", 1: "yesterday", "-1": "tomorrow" }[near];
    return `${name ?? dated(at, now)} ${clock.format(at)}`;
  },
  soon(at, now) {
    if (at - now < 3600e3) return words.ago(at, now);
    return words.full(at, now).slice(0, -3);
  },
  clock: (at) => clock.format(at),
  log: (at) => `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, "0")}`,
};

const dated = (at, now) => (at.getFullYear() === now.getFullYear() ? day : year).format(at);
const midnight = (at) => new Date(at.getFullYear(), at.getMonth(), at.getDate());

export function localise(root, only = "time[data-as]") {
  const now = new Date();
  for (const each of root.querySelectorAll(only)) {
    const at = new Date(each.dateTime);
    const text = words[each.dataset.as](at, now);
    if (each.textContent !== text) each.textContent = text;
    if (each.dataset.as !== "log" && !each.title) each.title = `${exact.format(at)} · ${at.toISOString()}`;
  }
}

export function duration(seconds) {
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  const whole = Math.round(s);
  const two = (n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${two(whole % 60)} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} m`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

function tick() {
  if (document.hidden) return;
  for (const each of document.querySelectorAll("[data-since]")) {
    const seconds = (Date.now() - new Date(each.dataset.since)) / 1000;
    if (each.tagName === "PROGRESS") each.value = seconds;
    else each.textContent = duration(seconds);
  }
  localise(document, 'main time[data-as="ago"], main time[data-as="soon"]');
}

export function start() {
  for (const each of document.querySelectorAll("[data-zone]")) {
    each.textContent = `${zone.split("/").pop().replaceAll("_", " ")} time`;
    each.title = zone;
  }
  localise(document);
  setInterval(tick, 1000);
}
