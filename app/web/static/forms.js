// What a form shows before it is sent for good, and what it is refused with, comes in place: nothing that was typed is
// lost, secrets included, which no page ever has in it.
let tools;

export function start(given) {
  tools = given;
  document.querySelector("main [aria-invalid]")?.focus(); // the first field of a form that was refused
  document.addEventListener("submit", (event) => {
    const button = event.submitter ?? event.target.querySelector("button:not([type=button])"); // which Enter presses
    const isHere = button?.hasAttribute("data-here") || event.target.hasAttribute("data-here");
    if (!isHere || !globalThis.Idiomorph) return;
    event.preventDefault();
    show(event.target, button);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-fills]");
    if (button) fill(button);
  });
  offerZone();
  document.addEventListener("input", (event) => {
    if (event.target.dataset?.check) check(event.target);
    if (/^f-schedule\.(cron|time_zone)$/.test(event.target.id)) showTimes();
  });
}

// A name is looked at while it is typed: whether it is one, and free. The server says so in its own words.
const PAUSE = 250;
let latest = 0;
async function check(field) {
  const mine = ++latest;
  await new Promise((resolve) => setTimeout(resolve, PAUSE));
  if (mine !== latest) return;
  const answer = await fetch(`${field.dataset.check}?${new URLSearchParams({ name: field.value })}`);
  if (!answer.ok || mine !== latest) return;
  const wrong = await answer.text();
  const said = document.getElementById(field.getAttribute("aria-describedby"));
  said.dataset.usual ??= said.classList.contains("error") ? "" : said.textContent;
  said.textContent = wrong || said.dataset.usual;
  said.classList.toggle("error", wrong !== "");
  said.classList.toggle("sub", wrong === "");
  field.toggleAttribute("aria-invalid", wrong !== "");
  field.closest(".field").classList.toggle("wrong", wrong !== "");
}

// A value that is pressed instead of typed.
function fill(button) {
  const field = document.getElementById(button.dataset.fills);
  field.value = button.dataset.value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function offerZone() {
  const button = document.querySelector("[data-own-zone]");
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (!button || document.getElementById("f-schedule.time_zone").value === own) return;
  button.dataset.value = button.textContent = own;
  button.parentElement.hidden = false;
}

// When a schedule would be due next, while it is typed.
let timesAsked = 0;
async function showTimes() {
  const mine = ++timesAsked;
  await new Promise((resolve) => setTimeout(resolve, PAUSE));
  const said = document.querySelector("[data-next-times]");
  if (mine !== timesAsked || !said) return;
  const [cron, zone] = ["cron", "time_zone"].map((name) => document.getElementById(`f-schedule.${name}`).value);
  const answer = await fetch(`/schedule/next?${new URLSearchParams({ cron, zone })}`);
  const text = await answer.text();
  if (mine !== timesAsked || (!answer.ok && answer.status !== 422)) return;
  said.classList.toggle("error", !answer.ok);
  if (!answer.ok) return void (said.textContent = text);
  said.innerHTML = text;
  tools.localise(said);
}

async function show(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  button.disabled = true;
  let answer, main;
  try {
    answer = await fetch(form.getAttribute("action"), { method: "POST", body, headers: { "Jobyard-In-Place": "1" } });
    main = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main");
  } catch {
    return unanswered(form, "The server did not answer. What you typed is still here: try again.");
  } finally {
    button.disabled = false;
  }
  const address = answer.headers.get("Jobyard-Goes-To");
  if (address) return goTo(address);
  const same = sameForm(form, main);
  if (same) take(form, button, main, same, answer.ok);
  else unanswered(form, main?.innerText.trim().replace(/\s+/g, " ") || `The server answered ${answer.status}.`);
}

// The form with the same address or, as a new job has one from its first step on, the only one that is shown in place.
function sameForm(form, main) {
  const forms = [...(main?.querySelectorAll("form") ?? [])];
  const here = forms.filter((each) => each.hasAttribute("data-here"));
  const action = form.getAttribute("action");
  return forms.find((each) => each.getAttribute("action") === action) ?? (here.length === 1 ? here[0] : null);
}

function goTo(address) {
  const url = new URL(address, location);
  const isHere = url.href.split("#")[0] === location.href.split("#")[0];
  location.assign(url);
  if (isHere && url.hash) location.reload(); // else that would only scroll
}

function unanswered(form, sentence) {
  const said = form.querySelector(".unanswered") ?? document.createElement("p");
  said.className = "error unanswered";
  said.role = "alert";
  said.textContent = sentence;
  form.append(said);
}

function take(form, button, fresh, same, isDone) {
  const saved = isDone && button.name === "section" ? button.closest("section") : null; // no secret of it is to be typed
  const before = new Map(texts(form, saved).map((each) => [each.name, each.value]));
  const secrets = new Map(rows(form, saved).map((row) => [part(row, "name").value, part(row, "value").value]));
  const beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
  form.id = same.id = "shown-here"; // so that the morph keeps the form itself
  tools.localise(fresh);
  const main = document.getElementById("main");
  Idiomorph.morph(main, fresh.innerHTML, { morphStyle: "innerHTML", callbacks: { beforeAttributeUpdated } });
  form.removeAttribute("id");
  for (const each of texts(form, saved)) each.value = before.get(each.name) ?? each.value;
  for (const row of rows(form, saved)) {
    const value = part(row, "value");
    if (!value.value) value.value = secrets.get(part(row, "name").value) ?? "";
  }
  for (const each of saved?.querySelectorAll("input[type=password]") ?? []) each.value = "";
  document.querySelector("[data-retype]")?.remove(); // what the server never shows is still there
  tools.afterMorph();
  const wrong = form.querySelector("[aria-invalid]");
  if (wrong) return wrong.focus();
  if (!isDone) main.querySelector("[role=alert]")?.scrollIntoView({ block: "center" });
  button.focus({ preventScroll: true });
}

const TEXTS = "input:not([type=hidden], [type=checkbox], [type=radio]), textarea";
const outside = (part, each) => !part?.contains(each);
const texts = (form, but) =>
  [...form.querySelectorAll(TEXTS)].filter((each) => each.name && !each.closest(".env-row") && outside(but, each));
const rows = (form, but) => [...form.querySelectorAll(".env-row")].filter((row) => outside(but, row));
const part = (row, name) => row.querySelector(`[name$=".${name}"]`);
