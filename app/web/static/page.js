// Starts everything. Each part is a module of its own; all carry the version that this one was loaded with.
const version = new URL(import.meta.url).search;
const load = (name) => import(`./${name}.js${version}`);
const [time, { connect }, live, log, keys, controls, lists] = await Promise.all(
  ["time", "stream", "live", "log", "keys", "controls", "lists"].map(load),
);

time.start();
controls.start();
keys.start(log);
lists.start();
log.start({ connect, localise: time.localise });
live.start({
  connect,
  localise: time.localise,
  afterMorph() {
    log.attach();
    controls.refresh();
  },
});
document.documentElement.dataset.ready = "";
