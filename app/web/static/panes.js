// Panes of one card, of which one is shown: its tab says which, and so does the page's address.
const tabsOf = (tab) => [...tab.closest("[role=tablist]").querySelectorAll("[role=tab]:not([hidden])")];

function choose(tab) {
  for (const each of tabsOf(tab)) {
    each.setAttribute("aria-selected", each === tab);
    each.tabIndex = each === tab ? 0 : -1;
  }
  const name = tab.dataset.shows;
  tab.closest("[data-pane]").dataset.pane = name;
  const address = new URL(location);
  if (tabsOf(tab)[0] === tab) address.searchParams.delete("tab");
  else address.searchParams.set("tab", name);
  history.replaceState(history.state, "", address);
}

/** Show the pane of that name, if the page has it. */
export function show(name) {
  const tab = document.querySelector(`[role=tab][data-shows="${name}"]`);
  if (tab) choose(tab);
}

function byKey(event) {
  const tab = event.target.closest?.("[role=tab][data-shows]");
  if (!tab || event.ctrlKey || event.metaKey || event.altKey) return;
  const tabs = tabsOf(tab);
  const at = tabs.indexOf(tab);
  const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: -1, " ": at }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(tabs.at(to % tabs.length));
  tabs.at(to % tabs.length).focus();
}

export function start() {
  document.addEventListener("click", (event) => {
    const tab = event.target.closest("[role=tab][data-shows]");
    if (!tab || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    choose(tab);
  });
  document.addEventListener("keydown", byKey);
}
