// Starts everything. Each part is a module of its own; all carry the version that this one was loaded with.
const version = new URL(import.meta.url).search;
const load = (name) => import(`./${name}.js${version}`);
const [time, { connect }, live, keys, controls, lists, forms] = await Promise.all(
  ["time", "stream", "live", "keys", "controls", "lists", "forms"].map(load),
);

const localise = (root) => {
  time.localise(root);
  lists.localise(root);
};
time.start(() => {
  localise(document);
  log?.redress();
});
controls.start();

// What shows logs is loaded with the first one.
let log = null;
let loadingLog = null; // while it comes: the page may look at itself meanwhile, and would start it twice
async function startLog() {
  const loaded = await load("log");
  loaded.start({ connect, localise: time.localise });
  log = loaded;
}
async function attachLog() {
  if (log) return log.attach();
  if (!document.querySelector("[data-log]")) return;
  loadingLog ??= startLog().finally(() => { loadingLog = null; });
  await loadingLog;
}
const onLog = (name) => (step) => log?.[name](step);
keys.start(Object.fromEntries(["nextError", "nextMatch", "find", "wrap"].map((name) => [name, onLog(name)])));
lists.start(time);
if (document.querySelector("[data-pane]")) (await load("panes")).start();
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-shell-open]");
  if (!button) return;
  const [panes, shell] = await Promise.all([load("panes"), load("shell")]);
  panes.show("shell");
  shell.begin(button.dataset, time.localise);
});
const afterMorph = () => {
  attachLog();
  controls.refresh();
};
live.start({ connect, localise, afterMorph });
forms.start({ localise, afterMorph });
await attachLog();
document.documentElement.dataset.ready = "";
