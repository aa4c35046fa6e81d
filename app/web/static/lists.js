// Lists: the bars of a strip lead to their runs, and a choice counts as soon as it is made.
let time;
const COLUMNS = 24, STEP = 7; // as the server draws them, the newest at the right edge

const STATUS = { q: "queued", r: "running", s: "succeeded", f: "failed", c: "cancelled" };

function indexAt(strip, x) {
  const box = strip.getBoundingClientRect();
  const column = Math.floor((x - box.left) * (strip.viewBox.baseVal.width / box.width) / STEP);
  return COLUMNS - 1 - column;
}
const runAt = (strip, x) => strip.dataset.runs.split(" ")[indexAt(strip, x)];

// A bar is called by its run, state, time and duration, as soon as the pointer is on it.
function tell(strip, x, { words, duration, zone }) {
  const index = indexAt(strip, x);
  let title = strip.querySelector("title");
  const of = `${index} ${zone}`;
  if (title?.dataset.of === of) return;
  title?.remove();
  const told = strip.dataset.told.split(" ").slice(0, index + 1).map((each) => /^(.)(-?\d+)\+(\d*)$/.exec(each));
  if (index < 0 || index >= strip.dataset.runs.split(" ").length || told.includes(null)) return;
  const at = told.slice(1).reduce((later, [, , before]) => later - before, Number(told[0][2]));
  const [, status, , took] = told.at(-1);
  title = document.createElementNS("http://www.w3.org/2000/svg", "title");
  title.dataset.of = of;
  const lasted = took ? `took ${duration(Number(took))}` : `goes on for ${duration(Date.now() / 1000 - at)}`;
  title.textContent = `Run ${runAt(strip, x)}: ${STATUS[status]}, ${words.full(new Date(at * 1000), new Date())}, ${lasted}`;
  strip.prepend(title);
}

// A field for a day and time is of the zone that times are shown in; the address has it in UTC.
const two = (number) => String(number).padStart(2, "0");
const local = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
const inUtc = (at) => at.toISOString().slice(0, 19);
const instant = (field) => (field.value ? new Date(time.zone === "UTC" ? `${field.value}Z` : field.value).toISOString() : "");

export function localise(root = document) {
  for (const field of root.querySelectorAll("input[data-zoned]")) {
    const at = new Date(field.dataset.at ?? "");
    const shown = Number.isNaN(at.getTime()) ? "" : (time.zone === "UTC" ? inUtc : local)(at);
    field.setAttribute("value", shown);
    field.value = shown;
    field.parentElement.querySelector("[data-zoned-name]").textContent = time.zone === "UTC" ? "UTC" : "";
  }
}

function withoutEmpty(event) {
  const form = event.target;
  if (!form.matches("form.filters")) return;
  for (const field of form.querySelectorAll("input[data-zoned]")) {
    if (field.value) event.formData.set(field.name, instant(field));
  }
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
}

export function start(given) {
  time = given;
  localise();
  document.addEventListener("pointermove", (event) => {
    const strip = event.target.closest?.(".strip[data-runs]");
    if (strip) tell(strip, event.clientX, time);
  }, { passive: true });
  document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  document.addEventListener("formdata", withoutEmpty);
  document.addEventListener("click", (event) => {
    const strip = event.target.closest?.(".strip[data-runs]");
    const run = strip && runAt(strip, event.clientX);
    if (run) location.assign(`/runs/${run}`);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-zoned]")) event.target.dataset.at = instant(event.target);
    const says = event.target.closest("select[data-says]");
    if (says) document.getElementById(says.dataset.says).textContent = says.selectedOptions[0].dataset.said;
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });
}
