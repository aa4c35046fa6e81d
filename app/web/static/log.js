// The log: follows its end until the reader scrolls, loads more on demand, and jumps from error to error.
const MOST = 6000; // rows kept while following; earlier ones can be loaded again
const NEAR = 24; // pixels from the bottom that still count as the end
let tools;
let log = null; // { box, rows, more…, stream, missed }

export function start(given) {
  tools = given;
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-next-error]")) nextError();
    if (event.target.closest("[data-wrap]")) wrap(!log.box.classList.contains("wrap"));
  });
  attach();
}

/** Take charge of the page's log, if it is not the one we have. */
export function attach() {
  const box = document.querySelector("[data-log]");
  if (box === log?.box && box?.dataset.log === log?.key) return;
  log?.stream?.close();
  log = box && { box, key: box.dataset.log, rows: box.querySelector("[data-log-rows]"), missed: 0, stream: null, following: true };
  if (!log) return;
  const part = (name) => document.querySelector(`[data-log-${name}]`);
  log.earlier = part("earlier");
  log.later = part("later");
  log.fresh = part("new");
  log.empty = part("empty");
  box.onscroll = () => {
    log.following = box.scrollTop + box.clientHeight >= box.scrollHeight - NEAR;
    if (log.following) missed(0);
  };
  log.earlier.onclick = loadEarlier;
  log.later.onclick = loadLater;
  log.fresh.onclick = () => { toEnd(); box.focus(); };
  wrap(localStorage.getItem("jobyard-wrap") === "yes");
  const asked = box.dataset.at !== undefined && log.rows.querySelector(`[data-o="${CSS.escape(box.dataset.at)}"]`);
  if (asked) point(asked);
  else toEnd();
  countErrors();
  follow();
}

function follow() {
  const { box } = log;
  if (!("live" in box.dataset) || box.dataset.after || log.stream) return;
  const mine = log;
  const take = (event, anew) => {
    if (event.lastEventId) box.dataset.end = event.lastEventId;
    if (mine === log) add(event.data, anew);
  };
  mine.stream = tools.connect(
    () => `${box.dataset.address}/follow?${box.dataset.query}&from=${box.dataset.end}`,
    {
      lines: (event) => take(event, false),
      reset: (event) => take(event, true),
      end: () => { mine.stream.close(); delete box.dataset.live; },
    },
  );
}

function parsed(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // made and escaped by our own server
  tools.localise(template.content);
  return template.content;
}

function add(html, anew) {
  const { rows } = log;
  const fragment = parsed(html);
  const last = rows.lastElementChild;
  let count = fragment.childElementCount;
  if (anew) {
    rows.replaceChildren();
    log.box.dataset.before = fragment.firstElementChild?.dataset.o ?? "";
    log.earlier.hidden = !log.box.dataset.before;
  } else if (last && fragment.firstElementChild?.dataset.o === last.dataset.o) {
    last.remove(); // it has grown
    count -= 1;
  }
  rows.append(fragment);
  log.empty.hidden = true;
  if (log.following) {
    trim();
    toEnd();
  } else missed(log.missed + count);
  countErrors();
}

function trim() {
  const { rows, box } = log;
  const surplus = rows.childElementCount - MOST;
  if (surplus <= 0) return;
  for (let n = 0; n < surplus; n += 1) rows.firstElementChild.remove();
  box.dataset.before = rows.firstElementChild.dataset.o;
  log.earlier.hidden = false;
}

async function fetchRows(parameter) {
  const answer = await fetch(`${log.box.dataset.address}/log?${log.box.dataset.query}&${parameter}`);
  if (!answer.ok) throw new Error(`the log answered ${answer.status}`);
  return { rows: parsed(await answer.text()), header: (name) => answer.headers.get(`X-Log-${name}`) };
}

async function loadEarlier() {
  const { box } = log;
  const { rows, header } = await fetchRows(`before=${box.dataset.before}`);
  const fromBottom = box.scrollHeight - box.scrollTop;
  log.rows.prepend(rows);
  box.dataset.before = header("Before");
  log.earlier.hidden = !box.dataset.before;
  box.scrollTop = box.scrollHeight - fromBottom;
  countErrors();
}

async function loadLater() {
  const { box } = log;
  const { rows, header } = await fetchRows(`from=${box.dataset.after}`);
  log.rows.append(rows);
  box.dataset.after = header("After");
  box.dataset.end = header("End");
  log.later.hidden = !box.dataset.after;
  countErrors();
  follow();
}

function toEnd() {
  log.box.scrollTop = log.box.scrollHeight;
  log.following = true;
  missed(0);
}

function missed(count) {
  log.missed = count;
  log.fresh.hidden = count === 0;
  log.fresh.textContent = `${count.toLocaleString()} new line${count === 1 ? "" : "s"}`;
}

function point(row) {
  log.rows.querySelector(".here")?.classList.remove("here");
  row.classList.add("here");
  const { box } = log;
  box.scrollTop = row.offsetTop - box.offsetTop - box.clientHeight / 3;
  log.following = false;
}

function countErrors() {
  const button = document.querySelector("[data-next-error]");
  if (button) button.disabled = log.rows.querySelector(".err") === null;
}

/** To the next line that looks like an error, from the last one pointed at; after the last, the first again. */
export function nextError() {
  if (!log) return;
  const errors = [...log.rows.querySelectorAll(".err")];
  const here = log.rows.querySelector(".here");
  const after = here && errors.find((each) => here.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING);
  const next = after ?? errors[0];
  if (next) point(next);
}

function wrap(on) {
  log.box.classList.toggle("wrap", on);
  localStorage.setItem("jobyard-wrap", on ? "yes" : "no");
  document.querySelector("[data-wrap]")?.setAttribute("aria-pressed", on);
}
