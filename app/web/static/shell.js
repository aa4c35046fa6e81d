// A shell in a running container: a terminal on the page, and a WebSocket to the server. Nothing is loaded before a click.
const version = new URL(import.meta.url).search;
const PIECE = 16384; // bytes of one message: the server takes 64 KiB
const DARK = { background: "#101114", foreground: "#ecebe7", cursor: "#ecebe7", selectionBackground: "#41454e" };
const OPTIONS = { theme: DARK, fontSize: 13, scrollback: 5000, screenReaderMode: true };
const encoder = new TextEncoder();

// The security policy lets no script write styles into the page as text, which the terminal does. While one is open, the
// style elements that are made are style sheets, and spans set their styles property by property.
const sheets = [];
const make = {
  style() {
    const element = document.createElement("template");
    const sheet = new CSSStyleSheet();
    sheets.push(sheet);
    document.adoptedStyleSheets.push(sheet);
    Object.defineProperty(element, "textContent", { set: (css) => sheet.replaceSync(css) });
    return element;
  },
  span() {
    const element = Document.prototype.createElement.call(document, "span");
    element.setAttribute = (name, value) => {
      if (name === "style") element.style.cssText = value;
      else Element.prototype.setAttribute.call(element, name, value);
    };
    return element;
  },
};

function allowStyles() {
  document.createElement = (tag, ...more) => make[tag]?.() ?? Document.prototype.createElement.call(document, tag, ...more);
}

function dropStyles() {
  delete document.createElement;
  const dropped = sheets.splice(0);
  document.adoptedStyleSheets = document.adoptedStyleSheets.filter((each) => !dropped.includes(each));
}

function stylesheet() {
  if (document.querySelector("link[data-xterm]")) return;
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", href: `/static/npm/xterm/xterm.css${version}` });
  link.dataset.xterm = "";
  document.head.append(link);
}

class Shell {
  constructor(panel, address, instance, terminal, fit, localise) {
    this.panel = panel;
    this.part = (name) => panel.querySelector(`[data-shell-${name}]`);
    this.terminal = terminal;
    this.fit = fit;
    terminal.loadAddon(fit);
    this.part("where").textContent = `instance ${instance}`;
    Object.assign(this.part("since"), { dateTime: new Date().toISOString() }).dataset.as = "clock";
    localise(panel);
    this.part("end").textContent = "";
    this.part("terminal").replaceChildren();
    this.terminal.open(this.part("terminal"));
    this.fit.fit();
    this.terminal.attachCustomKeyEventHandler((event) => this.key(event));
    this.terminal.onData((text) => this.type(encoder.encode(text)));
    this.terminal.onBinary((text) => this.type(Uint8Array.from(text, (each) => each.charCodeAt(0))));
    this.terminal.onResize(({ cols, rows }) => this.tell({ columns: cols, rows }));
    this.sizes = new ResizeObserver(() => this.fit.fit());
    this.sizes.observe(this.part("terminal"));
    this.taken = 0; // bytes
    this.connect(address, instance);
  }

  connect(path, instance) {
    const { cols, rows } = this.terminal;
    const address = new URL(path, location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    address.search = new URLSearchParams({ instance, columns: cols, rows });
    this.socket = new WebSocket(address);
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.hear(JSON.parse(data)) : this.show(data));
    this.socket.onclose = () => this.over("The connection was lost, or the shell was refused: log in again if need be.");
    this.terminal.focus();
  }

  // The server is told what was drawn, and waits for it: nothing piles up here, however much comes.
  show(data) {
    this.terminal.write(new Uint8Array(data), () => {
      this.taken += data.byteLength;
      this.tell({ taken: this.taken });
    });
  }

  hear({ opened, ended }) {
    if (opened) this.panel.dataset.shell = "open";
    if (ended) this.over(ended);
  }

  key(event) {
    if (event.type !== "keydown" || event.key !== "Escape" || !event.ctrlKey || !event.shiftKey) return true;
    this.part("close").focus();
    return false;
  }

  type(bytes) {
    for (let at = 0; at < bytes.length; at += PIECE) this.send(bytes.slice(at, at + PIECE));
  }

  tell(what) {
    this.send(JSON.stringify(what));
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(message);
  }

  over(sentence) {
    if (this.part("end").textContent) return;
    this.part("end").textContent = sentence;
    this.panel.dataset.shell = "over";
    this.terminal.options.disableStdin = true;
    this.sizes.disconnect();
    this.socket.close();
  }

  close() {
    this.over("It was closed.");
    this.terminal.dispose();
    dropStyles();
  }
}

let last = null; // what the panel shows, perhaps of a shell that is over
let isBeginning = false;

/** Open a shell in the panel of the page; one that is there is closed. */
export async function begin({ shellOpen: instance, address }, localise) {
  if (isBeginning) return;
  isBeginning = true;
  const panel = document.querySelector("[data-shell]");
  close();
  stylesheet();
  panel.querySelector("[data-shell-close]").onclick = close;
  panel.hidden = false;
  try {
    const [{ Terminal }, { FitAddon }] = await Promise.all([
      import(`/static/npm/xterm/xterm.mjs${version}`),
      import(`/static/npm/addon-fit/addon-fit.mjs${version}`),
    ]);
    allowStyles();
    last = new Shell(panel, address, instance, new Terminal(OPTIONS), new FitAddon(), localise);
    panel.scrollIntoView({ block: "nearest" });
  } catch (error) {
    dropStyles();
    panel.querySelector("[data-shell-end]").textContent = `The terminal can't be loaded: ${error.message}`;
  } finally {
    isBeginning = false;
  }
}

function close() {
  last?.close();
  last = null;
  document.querySelector("[data-shell]").hidden = true;
}
