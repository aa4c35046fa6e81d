// Lists: the bars of a strip lead to their runs, and a choice counts as soon as it is made.
const COLUMNS = 24, STEP = 7; // as the server draws them, the newest at the right edge

function runAt(strip, x) {
  const box = strip.getBoundingClientRect();
  const column = Math.floor((x - box.left) * (strip.viewBox.baseVal.width / box.width) / STEP);
  return strip.dataset.runs.split(" ")[COLUMNS - 1 - column];
}

// A field for a day and time is of the reader's zone; the address has it in UTC.
const two = (number) => String(number).padStart(2, "0");
const local = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;

export function localise(root = document) {
  for (const field of root.querySelectorAll("input[data-zoned]")) {
    const at = new Date(field.dataset.at ?? "");
    if (!Number.isNaN(at.getTime())) field.setAttribute("value", local(at));
    field.parentElement.querySelector("[data-zoned-name]").textContent = "";
  }
}

function withoutEmpty(event) {
  const form = event.target;
  if (!form.matches("form.filters")) return;
  for (const field of form.querySelectorAll("input[data-zoned]")) {
    if (field.value) event.formData.set(field.name, new Date(field.value).toISOString());
  }
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
}

export function start() {
  localise();
  document.querySelector(".top nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  document.addEventListener("formdata", withoutEmpty);
  document.addEventListener("click", (event) => {
    const strip = event.target.closest?.(".strip[data-runs]");
    const run = strip && runAt(strip, event.clientX);
    if (run) location.assign(`/runs/${run}`);
  });
  document.addEventListener("change", (event) => {
    const says = event.target.closest("select[data-says]");
    if (says) document.getElementById(says.dataset.says).textContent = says.selectedOptions[0].dataset.said;
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });
}
