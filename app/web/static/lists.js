// Lists: the bars of a strip lead to their runs, and a choice counts as soon as it is made.
const COLUMNS = 24, STEP = 7; // as the server draws them, the newest at the right edge

function runAt(strip, x) {
  const box = strip.getBoundingClientRect();
  const column = Math.floor((x - box.left) * (strip.viewBox.baseVal.width / box.width) / STEP);
  return strip.dataset.runs.split(" ")[COLUMNS - 1 - column];
}

export function start() {
  document.addEventListener("click", (event) => {
    const strip = event.target.closest?.(".strip[data-runs]");
    const run = strip && runAt(strip, event.clientX);
    if (run) location.assign(`/runs/${run}`);
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });
}
