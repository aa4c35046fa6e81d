// Finds lines on the server: in all attempts of a run, some megabytes a request, as far as somebody looks.
const MOST = 20000; // lines
const SOON = 300; // ms after the last key
const REST = 2000; // ms between two looks at what a live log has added

/** The lines that the server finds at `address`, in order; more of them each time. */
class Matches {
  constructor(address) {
    Object.assign(this, { address, found: [], next: null, complete: false, over: false, loading: null });
  }

  /** Go on to the end as it is now; `told` is called after each part. */
  load(told = () => {}) {
    this.loading ??= this.loadAll(told).finally(() => { this.loading = null; });
    return this.loading;
  }

  async loadAll(told) {
    do {
      this.part = this.loadPart();
      await this.part;
      told();
    } while (!this.complete && !this.over && this.found.length < MOST);
  }

  async loadPart() {
    const answer = await fetch(`${this.address}&limit=1000${this.next ? `&after=${encodeURIComponent(this.next)}` : ""}`);
    if (!answer.ok) throw new Error(`the search answered ${answer.status}`);
    const { matches, next, complete } = await answer.json();
    const last = this.found.at(-1);
    this.found.push(...(last ? matches.filter((each) => compare(each, last) > 0) : matches));
    Object.assign(this, { next, complete });
  }

  /** Go on, but wait no longer than for the first match after a place. */
  async until(place, told) {
    let isOver = false;
    this.load(told).finally(() => { isOver = true; });
    while (!isOver && !(this.found.length && compare(this.found.at(-1), place) > 0)) await this.part;
  }

  get isFull() {
    return !this.complete && this.found.length >= MOST;
  }

  /** The number of the match after (1) or before (-1) a place; beyond the end it begins anew. */
  from(place, step) {
    const { found } = this;
    if (!found.length) return -1;
    if (step > 0) {
      const after = found.findIndex((each) => compare(each, place) > 0);
      return after < 0 ? 0 : after;
    }
    const before = found.findLastIndex((each) => compare(each, place) < 0);
    return before < 0 ? found.length - 1 : before;
  }
}

const compare = (a, b) => (a.attempt ?? 0) - (b.attempt ?? 0) || a.offset - b.offset;

export class Finder {
  /** `log()` is the window of the page's log. */
  constructor(log) {
    this.log = log;
    this.errors = null;
    this.matches = null;
    document.addEventListener("submit", (event) => {
      if (!event.target.matches("[data-find]")) return;
      event.preventDefault();
      this.search(1);
    });
    document.addEventListener("input", (event) => {
      if (!event.target.closest("[data-find]")) return;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.search(0), SOON);
    });
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("click", (event) => {
      if (event.target.closest("[data-find-next]")) this.search(1);
      if (event.target.closest("[data-find-previous]")) this.search(-1);
    });
  }

  get form() {
    return document.querySelector("[data-find]");
  }

  get text() {
    return this.form?.elements.find.value ?? "";
  }

  focus() {
    this.form?.elements.find.select();
  }

  key(event) {
    if (!event.target.closest?.("[data-find]")) return;
    if (event.key === "Enter" && event.shiftKey) {
      event.preventDefault();
      this.search(-1);
    } else if (event.key === "Escape") {
      this.form.elements.find.value = "";
      this.search(0);
      this.log()?.box.focus();
    }
  }

  /** The page has a log, perhaps with a text that is looked for already. */
  begin() {
    this.errors = null;
    this.sought = null;
    if (this.text) this.search(0);
  }

  address(wanted) {
    return `${this.form.dataset.search}&${wanted}`;
  }

  /** Go to the next match (1), the one before (-1), or, as the text has changed, the one nearest (0). */
  async search(step) {
    clearTimeout(this.timer);
    const { text } = this;
    const isNew = text !== this.sought;
    if (isNew) {
      if (this.matches) this.matches.over = true;
      this.matches = text ? new Matches(this.address(`q=${encodeURIComponent(text)}`)) : null;
      this.sought = text;
      this.index = -1;
    }
    this.highlight();
    this.say();
    const { matches } = this;
    if (!matches) return;
    if (isNew || !matches.complete) {
      const told = () => { if (matches === this.matches) this.say(); };
      if (step < 0) await matches.load(told);
      else await matches.until(this.log().here, told);
      if (matches !== this.matches) return;
    }
    const there = this.log().here;
    const isHere = matches.found.findIndex((each) => compare(each, there) === 0);
    if (isNew && isHere >= 0) this.index = isHere;
    else await this.go(matches, step < 0 ? -1 : 1);
    this.say();
  }

  async go(matches, step) {
    const index = matches.from(this.log().here, step);
    if (matches === this.matches) this.index = index;
    if (index < 0) return;
    const { attempt, offset } = matches.found[index];
    if (attempt === null || attempt === this.log().attempt) await this.log().show(offset);
    else this.leave(attempt, offset);
  }

  /** To a line of another attempt, which is another page. */
  leave(attempt, offset) {
    const { address, query } = this.log().box.dataset;
    const there = new URLSearchParams(query);
    there.set("attempt", attempt);
    there.set("at", offset);
    if (this.text) there.set("find", this.text);
    location.assign(`${address}?${there}`);
  }

  say() {
    const { form, matches } = this;
    const count = matches?.found.length ?? 0;
    const total = `${count.toLocaleString()}${matches && !matches.complete ? "+" : ""}`;
    const at = this.index >= 0 ? `${(this.index + 1).toLocaleString()} of ${total}` : total;
    const none = matches?.complete ? "Nothing found" : "Searching";
    form.querySelector("[data-find-count]").textContent = !matches ? "" : count ? at : none;
    for (const name of ["next", "previous"]) form.querySelector(`[data-find-${name}]`).disabled = !count;
  }

  /** Rows have come to the page, or gone: mark what is looked for, and see what a live log has added. */
  changed() {
    this.highlight();
    const { matches } = this;
    if (!matches || !("live" in this.log().box.dataset) || this.resting) return;
    this.resting = setTimeout(async () => {
      this.resting = null;
      if (matches === this.matches && !matches.isFull) await matches.load(() => this.say());
    }, REST);
  }

  highlight() {
    if (!globalThis.CSS?.highlights) return;
    const wanted = this.text.toLowerCase();
    const found = new Highlight();
    const rows = wanted ? document.querySelectorAll("[data-log-rows] .x") : [];
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
        found.add(rangeIn(row, at, at + wanted.length));
      }
    }
    CSS.highlights.set("log-find", found);
  }

  /** To the next line that looks like an error (1), or the one before (-1). */
  async nextError(step) {
    if (!this.log()) return;
    this.errors ??= new Matches(this.address("errors=true"));
    const { errors } = this;
    const { here } = this.log();
    this.errorAt = -1;
    if (!errors.complete || "live" in this.log().box.dataset) {
      const told = () => this.sayErrors();
      if (step < 0) await errors.load(told);
      else await errors.until(here, told);
    }
    this.errorAt = errors.from(here, step);
    this.sayErrors();
    await this.go(errors, step);
  }

  sayErrors() {
    const { found, complete } = this.errors;
    const total = `${found.length.toLocaleString()}${complete ? "" : "+"}`;
    const none = complete ? "No error" : "Searching";
    const said = this.errorAt >= 0 ? `Error ${(this.errorAt + 1).toLocaleString()} of ${total}` : found.length ? `${total} errors` : none;
    document.querySelector("[data-error-count]").textContent = said;
  }
}

/** The characters from `begin` to `end` of an element's text, whatever elements they are in. */
function rangeIn(element, begin, end) {
  const range = new Range();
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let passed = 0;
  let isBegun = false;
  while (walker.nextNode()) {
    const { length } = walker.currentNode.data;
    if (!isBegun && begin < passed + length) {
      range.setStart(walker.currentNode, begin - passed);
      isBegun = true;
    }
    if (isBegun && end <= passed + length) {
      range.setEnd(walker.currentNode, end - passed);
      break;
    }
    passed += length;
  }
  return range;
}
