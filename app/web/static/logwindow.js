// The part of a log that is on the page: some hundred rows, with room above and below for the others, so that the
// scrollbar is that of the whole log. Scrolling loads rows on either side and drops those that are far away.
const { Tail } = await import(`./logtail.js${new URL(import.meta.url).search}`);
const MOST = 1000; // rows on the page: laying them out is most of the work of a change
const KEPT = 600; // of them once some are dropped
const STEP = 100; // rows that are put on the page in one frame as somebody scrolls
const NEAR = 800; // pixels from the first or last row at which more are loaded
const TALLEST = 4e6; // pixels of room for rows that are not here: browsers have a limit
const BOTTOM = 24; // pixels from the bottom that still count as the end
const numberOr = (text, other) => (text ? Number(text) : other);
const nextFrame = () => new Promise(requestAnimationFrame);
const offsetOf = (row) => Number(row.dataset.o);

/** Some rows of a fragment, the first or the last ones, out of it. */
function taken(rows, { last }) {
  const part = document.createDocumentFragment();
  part.append(...[...rows.children].slice(...(last ? [-STEP] : [0, STEP])));
  return part;
}

export class LogWindow {
  /** `tools` has `connect` and `dress`, which makes rows ready; `changed` is called when other rows are on the page. */
  constructor(box, tools, changed) {
    Object.assign(this, { box, tools, changed, key: box.dataset.log, turn: 0, busy: false });
    const part = (name) => document.querySelector(`[data-log-${name}]`);
    Object.assign(this, { rows: part("rows"), above: part("above"), below: part("below"), empty: part("empty") });
    this.opened = new Set();
    this.before = numberOr(box.dataset.before, null);
    this.after = numberOr(box.dataset.after, null);
    this.size = Number(box.dataset.size);
    this.end = box.dataset.end;
    this.tail = new Tail(this, part("new"));
    for (const link of box.querySelectorAll("[data-log-more]")) link.remove();
    tools.dress(this.rows, box);
    this.measure();
    this.fit();
    box.onscroll = () => this.plan();
    const at = numberOr(box.dataset.at, null);
    const asked = at === null ? null : this.row(at);
    if (asked) this.point(asked);
    else if (at === null) this.toEnd();
    this.tail.follow();
    this.plan();
  }

  close() {
    this.tail.close();
    this.turn += 1;
  }

  get attempt() {
    return numberOr(this.box.dataset.attempt, null);
  }

  row(offset) {
    return this.rows.querySelector(`[data-o="${offset}"]`);
  }

  measure() {
    const bytes = (this.after ?? this.size) - (this.before ?? 0);
    this.perByte = this.rows.offsetHeight / Math.max(bytes, 1);
  }

  fit() {
    const scale = Math.min(this.perByte, TALLEST / Math.max(this.size, 1));
    this.above.style.height = `${(this.before ?? 0) * scale}px`;
    this.below.style.height = `${this.after === null ? 0 : Math.max(this.size - this.after, 1) * scale}px`;
    this.empty.hidden = this.rows.childElementCount > 0 || this.before !== null || this.after !== null;
  }

  /** The first row in sight. */
  first() {
    const all = this.rows.children;
    const top = this.box.scrollTop + this.box.offsetTop;
    let [low, high] = [0, all.length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (all[middle].offsetTop + all[middle].offsetHeight > top) high = middle;
      else low = middle + 1;
    }
    return all[low];
  }

  /** Change rows without moving what is in sight. */
  keeping(change) {
    const anchor = this.first();
    const was = anchor?.getBoundingClientRect().top;
    change();
    if (anchor?.isConnected) this.box.scrollTop += anchor.getBoundingClientRect().top - was;
    this.changed();
  }

  plan() {
    if (this.planned) return;
    this.planned = true;
    requestAnimationFrame(() => {
      this.planned = false;
      this.look();
    });
  }

  look() {
    const { box, rows } = this;
    const [top, bottom] = [box.scrollTop, box.scrollTop + box.clientHeight];
    const begin = rows.offsetTop - box.offsetTop;
    const end = begin + rows.offsetHeight;
    this.following = this.after === null && bottom >= box.scrollHeight - BOTTOM;
    if (this.following) this.tail.miss(0);
    if (this.before !== null && bottom < begin) this.leap((this.before * top) / this.above.offsetHeight);
    else if (this.after !== null && top > end) this.leap(this.after + ((this.size - this.after) * (top - end)) / this.below.offsetHeight);
    else if (this.before !== null && top < begin + NEAR) this.earlier();
    else if (this.after !== null && bottom > end - NEAR) this.later();
  }

  /** To a place that was scrolled to, once the scrolling has come to rest. */
  leap(offset) {
    clearTimeout(this.resting);
    this.resting = setTimeout(async () => {
      const at = Math.max(Math.round(offset), 0);
      if (!await this.replace(`at=${at}`)) return;
      const row = [...this.rows.children].findLast((each) => offsetOf(each) <= at) ?? this.rows.firstElementChild;
      if (row) this.box.scrollTop = row.offsetTop - this.box.offsetTop;
    }, 60);
  }

  async get(parameter) {
    const { address, query } = this.box.dataset;
    const open = this.opened.size ? `&open=${[...this.opened].join(",")}` : "";
    const answer = await fetch(`${address}/log?${query}&${parameter}${open}`);
    if (!answer.ok) throw new Error(`the log answered ${answer.status}`);
    const header = (name) => answer.headers.get(`X-Log-${name}`);
    const found = { before: numberOr(header("Before"), null), after: numberOr(header("After"), null), end: header("End") };
    return { ...found, size: Number(header("Size")), rows: this.made(await answer.text()) };
  }

  made(html) {
    const template = document.createElement("template");
    template.innerHTML = html; // made and escaped by our own server
    this.tools.dress(template.content, this.box);
    return template.content;
  }

  /** Show other rows; returns whether they are the ones that were asked for last. */
  async replace(parameter) {
    this.turn += 1;
    const turn = this.turn;
    const found = await this.get(parameter);
    if (turn !== this.turn) return false;
    this.rows.replaceChildren(found.rows);
    this.before = found.before;
    this.reach(found);
    this.fit();
    this.changed();
    return true;
  }

  /** The last row on the page is the last of what was found. */
  reach({ after, end, size }) {
    this.after = after;
    this.size = Math.max(size, this.size);
    this.end = end;
    if (after === null) this.tail.begin();
  }

  /** Put the rows that are found on the page, by `change`, until it has taken all of them. */
  async more(parameter, change) {
    if (this.busy) return;
    this.busy = true;
    const turn = this.turn;
    try {
      const found = await this.get(parameter);
      do {
        if (turn !== this.turn) return;
        this.keeping(() => {
          change(found);
          this.fit();
        });
        await nextFrame();
      } while (found.rows.childElementCount);
    } finally {
      this.busy = false;
    }
    this.plan();
  }

  earlier() {
    return this.more(`before=${this.before}`, (found) => {
      const part = taken(found.rows, { last: true });
      this.before = found.rows.childElementCount ? offsetOf(part.firstElementChild) : found.before;
      this.rows.prepend(part);
      this.dropBelow();
    });
  }

  later() {
    return this.more(`from=${this.after}`, (found) => {
      this.append(taken(found.rows, { last: false }));
      if (found.rows.childElementCount) this.after = offsetOf(found.rows.firstElementChild);
      else this.reach(found);
      this.dropAbove();
    });
  }

  /** The last line comes again when it has grown. */
  append(fragment) {
    const last = this.rows.lastElementChild;
    if (last && fragment.firstElementChild?.dataset.o === last.dataset.o) last.remove();
    this.rows.append(fragment);
  }

  /** Rows at the end of the log, which then is at `end`; `anew` stands for all that are on the page. */
  put(fragment, anew, end) {
    if (anew) {
      this.rows.replaceChildren(fragment);
      this.before = offsetOf(this.rows.firstElementChild) || null;
    } else this.append(fragment);
    this.end = end;
    if (this.following) this.dropAbove();
    this.fit();
    if (this.following) this.toEnd();
  }

  get isFull() {
    return this.rows.childElementCount > MOST;
  }

  dropAbove() {
    const surplus = this.isFull ? this.rows.childElementCount - KEPT : 0;
    for (let n = 0; n < surplus; n += 1) this.rows.firstElementChild.remove();
    if (surplus) this.before = offsetOf(this.rows.firstElementChild);
  }

  dropBelow() {
    if (!this.isFull) return;
    while (this.rows.childElementCount > KEPT) {
      this.after = offsetOf(this.rows.lastElementChild);
      this.rows.lastElementChild.remove();
    }
  }

  toEnd() {
    this.box.scrollTop = this.box.scrollHeight;
    this.following = this.after === null;
    if (this.following) this.tail.miss(0);
  }

  async toFirst() {
    if (this.before !== null) await this.replace("from=0");
    this.box.scrollTop = 0;
  }

  async toLast() {
    if (this.after !== null && !await this.replace("last=1")) return;
    this.toEnd();
  }

  /** To the line that begins at `offset`. */
  async show(offset) {
    if (!this.row(offset) && !await this.replace(`at=${offset}`)) return;
    const row = this.row(offset);
    if (row) this.point(row);
  }

  point(row) {
    this.rows.querySelector(".here")?.classList.remove("here");
    row.classList.add("here");
    this.box.scrollTop = row.offsetTop - this.box.offsetTop - this.box.clientHeight / 3;
    this.following = false;
    this.plan();
  }

  /** Where the reader is: the line that was pointed at, or just before the first one in sight. */
  get here() {
    const pointed = this.rows.querySelector(".here");
    if (pointed) return { attempt: this.attempt, offset: offsetOf(pointed) };
    const first = this.first();
    return { attempt: this.attempt, offset: first ? offsetOf(first) - 1 : -1 };
  }

  /** Open or fold the group that a row begins. */
  async fold(link) {
    const row = link.closest(".row");
    const inside = Number(link.dataset.fold);
    if (link.ariaExpanded === "true") this.opened.delete(inside);
    else this.opened.add(inside);
    this.turn += 1;
    const turn = this.turn;
    const found = await this.get(`from=${row.dataset.o}`);
    if (turn !== this.turn) return;
    this.keeping(() => {
      while (row.nextElementSibling) row.nextElementSibling.remove();
      row.replaceWith(found.rows);
      this.reach(found);
      this.fit();
    });
    this.row(row.dataset.o)?.querySelector("[data-fold]")?.focus();
    this.plan();
  }
}
