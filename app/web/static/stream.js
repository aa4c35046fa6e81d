// Server-sent events that come back by themselves, say when they are gone, and rest while nobody looks.
const PAUSE = 3;
const broken = new Set();
const banner = document.querySelector("[data-stale]");
const seconds = document.querySelector("[data-stale-seconds]");
let leaving = false;
let countdown = null;
addEventListener("pagehide", () => { leaving = true; });
addEventListener("pageshow", () => { leaving = false; });

function say() {
  banner.hidden = broken.size === 0;
  clearInterval(countdown);
  let left = PAUSE;
  seconds.textContent = left;
  if (broken.size) countdown = setInterval(() => { left = Math.max(left - 1, 1); seconds.textContent = left; }, 1000);
}

/** `address()` is asked for anew at each connection; `on` are handlers by event. */
export function connect(address, on) {
  let source = null;
  let timer = null;
  let over = false;
  const me = {};

  function open() {
    clearTimeout(timer);
    if (over || source || document.hidden) return;
    source = new EventSource(address());
    source.onopen = () => {
      if (broken.delete(me)) say();
    };
    source.onerror = () => {
      drop();
      if (leaving || over) return;
      broken.add(me);
      say();
      timer = setTimeout(open, PAUSE * 1000);
    };
    for (const [name, handle] of Object.entries(on)) source.addEventListener(name, handle);
  }
  function drop() {
    source?.close();
    source = null;
  }
  function look() {
    if (document.hidden) drop();
    else open();
  }
  document.addEventListener("visibilitychange", look);
  open();
  return {
    close() {
      over = true;
      clearTimeout(timer);
      drop();
      if (broken.delete(me)) say();
      document.removeEventListener("visibilitychange", look);
    },
  };
}
