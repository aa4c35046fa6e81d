// Times in the reader's zone or UTC, and in words; durations that go on; all from what the server wrote.
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
export let zone;
let day, year, clock, exact, dayOf;

function use(name) {
  const as = (options) => new Intl.DateTimeFormat(undefined, { timeZone: name, ...options });
  zone = name;
  day = as({ day: "numeric", month: "short" });
  year = as({ day: "numeric", month: "short", year: "numeric" });
  clock = as({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  exact = as({ dateStyle: "full", timeStyle: "long" });
  dayOf = new Intl.DateTimeFormat("en-CA", { timeZone: name, year: "numeric", month: "2-digit", day: "2-digit" });
  // For pages that the server lays out by days and hours.
  document.cookie = `jobyard_zone=${name}; path=/; max-age=31536000; samesite=lax`;
}
use(localStorage.getItem("jobyard-utc") ? "UTC" : own);

export const words = {
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
    const near = (midnight(now) - midnight(at)) / 86400e3;
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

const dated = (at, now) => (dayOf.format(at).slice(0, 4) === dayOf.format(now).slice(0, 4) ? day : year).format(at);
const midnight = (at) => Date.parse(dayOf.format(at)); // of that date, wherever it is

export function localise(root, only = "time[data-as]") {
  const now = new Date();
  for (const each of root.querySelectorAll(only)) {
    const at = new Date(each.dateTime);
    const text = words[each.dataset.as](at, now);
    if (each.textContent !== text) each.textContent = text;
    if (each.dataset.as === "log" || each.dataset.in === zone) continue;
    each.dataset.in = zone;
    each.title = `${exact.format(at)} · ${at.toISOString()}`;
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

export function refresh() {
  for (const each of document.querySelectorAll("[data-zone]")) {
    each.textContent = zone === "UTC" ? "UTC" : `${zone.split("/").pop().replaceAll("_", " ")} time`;
  }
  for (const each of document.querySelectorAll("[data-zone-next]")) {
    each.title = `Times are in ${zone}; press for ${zone === "UTC" ? own : "UTC"}`;
  }
}

function next(onZone) {
  if (zone === "UTC") localStorage.removeItem("jobyard-utc");
  else localStorage.setItem("jobyard-utc", "yes");
  use(zone === "UTC" ? own : "UTC");
  sessionStorage.removeItem("jobyard-redrawn");
  refresh();
  onZone();
  redraw();
}

/** A page whose very layout is in a zone is asked for again, if that is another. */
function redraw() {
  const laid = document.querySelector("main").dataset.zoneOf;
  const isKept = !laid || laid === zone || new URLSearchParams(location.search).has("zone");
  if (isKept || sessionStorage.getItem("jobyard-redrawn") === zone) return; // the server may not know the zone
  sessionStorage.setItem("jobyard-redrawn", zone);
  location.reload();
}

/** `onZone` is called when the reader has pressed for another zone. */
export function start(onZone) {
  refresh();
  localise(document);
  redraw();
  setInterval(tick, 1000);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-zone-next]")) next(onZone);
  });
}
