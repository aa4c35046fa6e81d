// What a form shows before it is sent for good comes in place: nothing that was typed is lost, and nothing scrolls.
let tools;

export function start(given) {
  tools = given;
  document.querySelector("main [aria-invalid]")?.focus(); // the first field of a form that was refused
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button?.hasAttribute("data-here") || !globalThis.Idiomorph) return;
    event.preventDefault();
    show(event.target, button);
  });
  document.addEventListener("input", (event) => {
    if (event.target.dataset?.check) check(event.target);
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

async function show(form, button) {
  const body = new URLSearchParams(new FormData(form, button));
  button.disabled = true;
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body });
    if (answer.redirected) return location.assign(answer.url);
    button.disabled = false;
    take(form, button, new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("main"));
  } catch {
    button.removeAttribute("data-here"); // as without scripts: the browser says what is wrong
    button.disabled = false;
    form.requestSubmit(button);
  }
}

function take(form, button, fresh) {
  const before = new Map(texts(form).map((each) => [each.name, each.value]));
  const secrets = new Map(rows(form).map((row) => [part(row, "name").value, part(row, "value").value]));
  const beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
  const action = form.getAttribute("action");
  const same = [...fresh.querySelectorAll("form")].find((each) => each.getAttribute("action") === action);
  form.id = same.id = "shown-here"; // so that the morph keeps the form itself
  tools.localise(fresh);
  const main = document.getElementById("main");
  Idiomorph.morph(main, fresh.innerHTML, { morphStyle: "innerHTML", callbacks: { beforeAttributeUpdated } });
  for (const each of texts(form)) each.value = before.get(each.name) ?? each.value;
  for (const row of rows(form)) {
    const value = part(row, "value");
    if (!value.value) value.value = secrets.get(part(row, "name").value) ?? "";
  }
  document.querySelector("[data-retype]")?.remove(); // what the server never shows is still there
  tools.afterMorph();
  const wrong = form.querySelector("[aria-invalid]");
  if (wrong) wrong.focus();
  else button.focus({ preventScroll: true });
}

const TEXTS = "input:not([type=hidden], [type=checkbox], [type=radio]), textarea";
const texts = (form) => [...form.querySelectorAll(TEXTS)].filter((each) => each.name && !each.closest(".env-row"));
const rows = (form) => [...form.querySelectorAll(".env-row")];
const part = (row, name) => row.querySelector(`[name$=".${name}"]`);
