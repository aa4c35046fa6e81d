// The menu, the theme, the help, copying.
const THEMES = [["", "as the system"], ["dark", "dark"], ["light", "light"]];
const theme = () => document.documentElement.dataset.theme ?? "";

export function refresh() {
  for (const each of document.querySelectorAll("[data-theme-name]")) {
    each.textContent = THEMES.find(([name]) => name === theme())[1];
  }
}

function nextTheme() {
  const at = THEMES.findIndex(([name]) => name === theme());
  const [name] = THEMES[(at + 1) % THEMES.length];
  if (name) {
    document.documentElement.dataset.theme = name;
    localStorage.setItem("jobyard-theme", name);
  } else {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem("jobyard-theme");
  }
  refresh();
}

/** A text, or the whole address of a link. */
async function copy(button) {
  const source = button.parentElement.querySelector("[data-copy-text]");
  const text = source.href ?? source.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page that came by http from another machine has no clipboard, and may be refused one elsewhere.
    if (!copySelected(button, text)) return button.replaceChildren("Select it and press Ctrl+C");
  }
  button.textContent = "Copied";
}

function copySelected(button, text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "off-screen";
  button.after(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  button.focus();
  return isCopied;
}

/** The browser keeps the place on a page to itself, so a login that leads there has to be told. */
function rememberPlace() {
  const next = document.querySelector("form[action='/login'] [name=next]");
  if (!next || !location.hash || next.value.includes("#")) return;
  next.value += location.hash;
  for (const each of document.querySelectorAll("a[href^='/login/oidc']")) each.href += encodeURIComponent(location.hash);
}

export function start() {
  rememberPlace();
  refresh();
  document.addEventListener("click", (event) => {
    const on = (selector) => event.target.closest(selector);
    if (on("[data-theme-next]")) nextTheme();
    if (on("[data-help]")) document.querySelector("[data-help-dialog]").showModal();
    if (on("[data-copy]")) copy(on("[data-copy]"));
    const menu = document.querySelector("details.menu[open]");
    if (menu && (!menu.contains(event.target) || on("[data-help]"))) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelector("details.menu[open]")?.removeAttribute("open");
  });
  // A form is sent once, however often its button is pressed; coming back to the page frees it again.
  const sent = new Set();
  document.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (event.target.method !== "post" || !button || button.name) return;
    sent.add(button);
    setTimeout(() => { button.disabled = true; });
  });
  addEventListener("pageshow", () => {
    for (const button of sent) button.disabled = false;
    sent.clear();
  });
}
