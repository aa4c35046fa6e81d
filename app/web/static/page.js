// Starts everything. Each part is a module of its own; all carry the version that this one was loaded with.
const version = new URL(import.meta.url).search;
const load = (name) => import(`./${name}.js${version}`);
const [time, { connect }, live, log, keys, controls, lists, forms] = await Promise.all(
  ["time", "stream", "live", "log", "keys", "controls", "lists", "forms"].map(load),
);

time.start();
controls.start();
keys.start(log);
lists.start();
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-shell-open]");
  if (button) (await load("shell")).begin(button.dataset);
});
log.start({ connect, localise: time.localise });
const localise = (root) => {
  time.localise(root);
  lists.localise(root);
};
const afterMorph = () => {
  log.attach();
  controls.refresh();
};
live.start({ connect, localise, afterMorph });
forms.start({ localise, afterMorph });
document.documentElement.dataset.ready = "";
