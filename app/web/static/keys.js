// The keyboard: one letter does one thing, never while somebody types.
const places = { o: "/", j: "/projects", r: "/runs", b: "/builds", w: "/decisions", p: "/pipelines", f: "/flows", a: "/apps", c: "/schedule", d: "/deliveries", s: "/settings", h: "/help" };
let pending = 0; // until when a letter after `g` counts

export function start(log) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest?.("input, textarea, select");
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const key = event.key;
    if (performance.now() < pending && places[key]) location.assign(places[key]);
    else if (key === "g") pending = performance.now() + 1500;
    else if (key === "/") document.querySelector(".search input")?.select();
    else if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
    else if (key === "r") document.querySelector("[data-run-changes]")?.click();
    else if (key === "e" || key === "E") log.nextError(key === "e" ? 1 : -1);
    else if (key === "n" || key === "N") log.nextMatch(key === "n" ? 1 : -1);
    else if (key === "f") log.find();
    else if (key === "w") log.wrap();
    else if (key === "?") document.querySelector("[data-help-dialog]").showModal();
    else return;
    if (key !== "g") pending = 0;
    event.preventDefault();
  });
}

function move(step) {
  const rows = [...document.querySelectorAll("main [data-row]")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
  const target = next.querySelector("a.name, summary, a, button");
  target?.focus({ focusVisible: true });
  next.scrollIntoView({ block: "nearest" });
}
