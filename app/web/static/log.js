// The log of a page: its window, what is looked for in it, how times and long lines are shown.
const version = new URL(import.meta.url).search;
const [{ LogWindow }, { Finder }] = await Promise.all(
  ["logwindow", "logfind"].map((name) => import(`./${name}.js${version}`)),
);
const TIMES = ["day", "since", "none"];
let tools;
let localise;
let log = null;
let finder;

export function start(given) {
  tools = { connect: given.connect, dress };
  localise = given.localise;
  finder = new Finder(() => log);
  document.addEventListener("click", (event) => {
    const on = (selector) => event.target.closest(selector);
    if (on("[data-next-error]")) finder.nextError(event.shiftKey ? -1 : 1);
    if (on("[data-wrap]")) wrap();
    if (on("[data-times]")) nextTimes();
    if (on("[data-log-first]")) log.toFirst();
    if (on("[data-log-last]")) log.toLast();
    if (on("[data-log-new]")) log.toLast().then(() => log.box.focus());
    if (on("[data-fold]")) {
      event.preventDefault();
      log.fold(on("[data-fold]"));
    }
  });
  document.addEventListener("keydown", (event) => {
    if (!event.target.closest?.("[data-log]") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Home") log.toFirst();
    else if (event.key === "End") log.toLast();
    else return;
    event.preventDefault();
  });
  document.addEventListener("change", (event) => event.target.closest("[data-log-filters]")?.requestSubmit());
  attach();
}

const times = () => localStorage.getItem("jobyard-log-times") ?? "day";
const isWrapped = () => localStorage.getItem("jobyard-wrap") === "yes";

/** Take charge of the page's log, if it is not the one we have. */
export function attach() {
  const box = document.querySelector("[data-log]");
  if (box === log?.box && box?.dataset.log === log?.key) return;
  log?.close();
  log = null;
  if (!box) return;
  show(box);
  log = new LogWindow(box, tools, () => finder.changed());
  finder.begin();
}

/** Make rows ready: their times in the reader's zone, or since the start. */
function dress(rows, box) {
  localise(rows, "time.t");
  if (times() !== "since" || !box.dataset.started) return;
  const began = new Date(box.dataset.started).getTime();
  for (const each of rows.querySelectorAll("time.t")) each.textContent = since(new Date(each.dateTime) - began);
}

function since(ms) {
  const two = (n) => String(n).padStart(2, "0");
  const whole = Math.floor(Math.abs(ms) / 1000);
  const hours = whole >= 3600 ? `${Math.floor(whole / 3600)}:` : "";
  const minutes = Math.floor((whole % 3600) / 60);
  const thousandths = String(Math.abs(ms) % 1000).padStart(3, "0");
  return `${ms < 0 ? "−" : "+"}${hours}${hours ? two(minutes) : minutes}:${two(whole % 60)}.${thousandths}`;
}

function show(box) {
  box.classList.toggle("wrap", isWrapped());
  box.classList.toggle("without-times", times() === "none");
  document.querySelector("[data-wrap]")?.setAttribute("aria-pressed", isWrapped());
}

export function wrap() {
  if (!log) return;
  localStorage.setItem("jobyard-wrap", isWrapped() ? "no" : "yes");
  log.keeping(() => show(log.box));
}

function nextTimes() {
  localStorage.setItem("jobyard-log-times", TIMES[(TIMES.indexOf(times()) + 1) % TIMES.length]);
  log.keeping(() => {
    show(log.box);
    redress();
  });
}

export const redress = () => log && dress(log.rows, log.box);

export const nextError = (step) => finder.nextError(step);
export const nextMatch = (step) => finder.text && finder.search(step);
export const find = () => finder.focus();
