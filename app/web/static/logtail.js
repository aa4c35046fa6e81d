// What is written at the end of a log while it is on the page: put there once a frame, or counted where the reader is
// somewhere else.
const AT_ONCE = 250; // rows that are made in one go
const [offsetIn, lineIn] = [(end) => Number(end.split(":")[0]), (end) => Number(end.split(":")[1])];

export class Tail {
  /** `log` is the window, `fresh` the button that says how many lines were missed. */
  constructor(log, fresh) {
    Object.assign(this, { log, fresh, stream: null, incoming: [], missed: 0, counted: lineIn(log.end) });
  }

  /** Go on from what is now the last row on the page. */
  begin() {
    this.counted = lineIn(this.log.end);
    this.close();
    this.incoming = [];
    this.follow();
  }

  close() {
    this.stream?.close();
    this.stream = null;
  }

  follow() {
    const { log } = this;
    if (!("live" in log.box.dataset) || log.after !== null || this.stream) return;
    const take = (event, anew) => {
      this.incoming.push({ html: event.data, end: event.lastEventId || log.end, anew });
      this.planFlush();
    };
    const stream = log.tools.connect(
      () => `${log.box.dataset.address}/follow?${log.box.dataset.query}&from=${log.end}`,
      {
        lines: (event) => take(event, false),
        reset: (event) => take(event, true),
        end: () => {
          stream.close();
          delete log.box.dataset.live;
        },
      },
    );
    this.stream = stream;
  }

  planFlush() {
    if (this.flushing) return;
    this.flushing = true;
    requestAnimationFrame(() => {
      this.flushing = false;
      this.flush();
    });
  }

  /** What came since the last time; of very much, the end. */
  flush() {
    const { log } = this;
    const parcels = this.incoming.splice(0);
    if (!parcels.length) return;
    const last = parcels.at(-1).end;
    log.size = Math.max(log.size, offsetIn(last));
    if (!log.following && log.after === null && log.isFull) log.after = offsetIn(log.end);
    if (log.after !== null) {
      this.count(last);
      return log.fit();
    }
    let from = parcels.findLastIndex((each) => each.anew);
    if (from < 0 && log.following && lineIn(last) - lineIn(log.end) > 2 * AT_ONCE) {
      from = parcels.findLastIndex((each, n) => lineIn(last) - lineIn(parcels[n - 1]?.end ?? log.end) > AT_ONCE);
      parcels[from].anew = true;
    }
    const now = parcels.slice(Math.max(from, 0));
    const enough = now.findIndex((each) => lineIn(each.end) - lineIn(log.end) >= AT_ONCE);
    if (enough >= 0 && !now[0].anew) {
      this.incoming.unshift(...now.splice(enough + 1));
      if (this.incoming.length) this.planFlush();
    }
    this.add(now);
  }

  add(parcels) {
    const { log } = this;
    const fragment = log.made(parcels.map((each) => each.html).join(""));
    for (const [n, row] of [...fragment.children].entries()) {
      if (row.dataset.o === fragment.children[n + 1]?.dataset.o) row.remove(); // it has grown since
    }
    log.put(fragment, parcels[0].anew, parcels.at(-1).end);
    if (log.following) this.counted = lineIn(log.end);
    else this.count(log.end);
    log.changed();
  }

  /** The lines up to there are not in sight. */
  count(end) {
    this.miss(this.missed + Math.max(lineIn(end) - this.counted, 0));
    this.counted = lineIn(end);
  }

  miss(count) {
    this.missed = count;
    this.fresh.hidden = count === 0;
    this.fresh.textContent = `${count.toLocaleString()} new line${count === 1 ? "" : "s"}`;
  }
}
