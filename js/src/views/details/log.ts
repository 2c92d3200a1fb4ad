// The output of one job, read on from a cursor; follows the end while the end is in view.

import { num, text } from "../../protocol";
import { AnsiLines, type Span } from "../../ui/ansi";
import { attr, button, div, enable, h, setText, show } from "../../ui/dom";
import type { Context } from "../context";

const PART = 65_536;
const NOTHING = "No output yet";
const MOST_TO_SAVE = 16 * 1024 * 1024; // bytes
const PAUSE = 80; // ms between two parts: a server lets a megabyte a second through

export class LogView {
  readonly node: HTMLElement;
  /** True when all there is so far has been read. */
  atEnd = false;
  #output = h("div", { role: "log", "aria-live": "off", tabindex: 0, class: "jqw-log" });
  #above = h("p", { class: "jqw-note" });
  #search = h("input", {
    type: "search", class: "jqw-input jqw-log-search", placeholder: "Search", maxlength: 200,
    "aria-label": "Search the log",
  });
  #count = h("span", { class: "jqw-log-count", role: "status" });
  #times = h("input", { type: "checkbox" });
  #timesLabel = h("label", { class: "jqw-field" }, this.#times, " Times");
  #follow: HTMLButtonElement;
  #save: HTMLButtonElement;
  #lines = new AnsiLines();
  #drawn: HTMLElement[] = [];
  #found: HTMLElement[] = [];
  #foundAt = -1;
  #gone = 0; // lines dropped from the beginning when last drawn
  #next = -1;
  #job = "";
  #title = "";
  #busy = false;
  #following = true;
  #touched = false;
  // Leaving the page or a new size moves the scroll position: that was not the reader's doing.
  #size = 0;

  constructor(private context: Context) {
    for (const way of ["wheel", "pointerdown", "touchmove", "keydown"]) {
      this.#output.addEventListener(way, () => (this.#touched = true), { passive: true });
    }
    this.#output.addEventListener("scroll", () => {
      const { scrollTop, clientHeight, scrollHeight } = this.#output;
      if (this.#touched || (scrollTop > 0 && clientHeight + scrollHeight === this.#size)) {
        this.#setFollowing(scrollTop + clientHeight >= scrollHeight - 4);
      }
      if (this.#following) this.#touched = false;
    });
    // A new size, or a new place in the page, moves what is read, too.
    const sizes = new ResizeObserver(() => this.follow());
    sizes.observe(this.#output);
    context.ending.signal.addEventListener("abort", () => sizes.disconnect());
    this.#output.setAttribute("aria-label", "Log");
    this.#follow = button("Follow", "Follow", () => {
      this.#setFollowing(!this.#following);
      this.follow();
    });
    this.#save = button("Download", "Download the log", () => void this.#download());
    this.#search.addEventListener("input", () => {
      this.#foundAt = -1;
      this.#find();
    });
    this.#search.addEventListener("keydown", (event) => this.#key(event));
    this.#times.addEventListener("change", () => this.#drawTimes());
    const bar = div(
      "log-bar", this.#search, this.#count, this.#timesLabel, this.#follow, this.#save,
    );
    this.node = div("log-box", bar, this.#above, this.#output);
    this.#setFollowing(true);
  }

  reset(job: string, title: string): void {
    this.#job = job;
    this.#title = title;
    this.#lines = new AnsiLines();
    this.#drawn = [];
    this.#gone = 0;
    this.#next = -1;
    this.atEnd = false;
    this.#setFollowing(true);
    this.#touched = false;
    this.#search.value = "";
    this.#foundAt = -1;
    this.#output.replaceChildren();
    this.#find();
    this.#note("");
    this.#drawTimes();
  }

  /** Read what is new; the first time, the last part of the log. */
  async readOn(): Promise<void> {
    const job = this.#job;
    const next = this.#next;
    if (this.#busy || job === "") return;
    this.#busy = true;
    const answer = await this.context.ask("log", { job, from: next, max: PART });
    this.#busy = false;
    if (answer === null || this.#job !== job || this.#next !== next) return;
    const from = num(answer["from"]);
    if (from > Math.max(0, next)) {
      this.#note("Earlier output is not shown; Download has it");
    }
    this.#next = num(answer["next"], Math.max(0, next));
    this.atEnd = answer["end"] === true;
    const piece = text(answer["text"], 4 * PART);
    if (piece !== "") {
      this.#write(piece, answer["times"]);
      this.#draw();
    } else if (this.#next === 0) {
      this.#note(NOTHING);
    }
    if (!this.atEnd) this.context.invalidate();
  }

  /** `times`: from which letter on (as Python counts them) what came when. */
  #write(piece: string, times: unknown): void {
    const marks = Array.isArray(times) ? times.filter(Array.isArray) : [];
    const letters = /[\ud800-\udfff]/.test(piece) ? [...piece] : piece;
    const part = (from: number, to?: number): string => {
      const found = letters.slice(from, to);
      return typeof found === "string" ? found : found.join("");
    };
    let at = 0;
    for (const [where, when] of marks) {
      const place = Math.max(at, num(where));
      this.#lines.write(part(at, place));
      this.#lines.time = num(when);
      at = place;
    }
    this.#lines.write(part(at));
  }

  #draw(): void {
    const output = this.#output;
    const lines = this.#lines;
    if (this.#above.textContent === NOTHING) this.#note("");
    const dropped = lines.dropped - this.#gone;
    this.#gone = lines.dropped;
    for (const node of this.#drawn.splice(0, dropped)) node.remove();
    // The last line drawn may have grown or been written over; those before it are final.
    const first = Math.max(0, this.#drawn.length - 1);
    lines.lines.slice(first).forEach((spans, offset) => {
      let node = this.#drawn[first + offset];
      if (node === undefined) {
        node = div("line");
        this.#drawn.push(node);
        output.append(node);
      }
      writeLine(node, spans);
      const time = lines.times[first + offset] ?? 0;
      attr(node, "data-time", time > 0 ? clock(time) : null);
    });
    this.#drawTimes();
    if (this.#search.value !== "") this.#find();
    this.follow();
  }

  #drawTimes(): void {
    const known = this.#lines.times.some((time) => time > 0);
    show(this.#timesLabel, known);
    this.#output.classList.toggle("jqw-with-times", known && this.#times.checked);
    this.follow();
  }

  #note(words: string): void {
    setText(this.#above, words);
    show(this.#above, words !== "");
  }

  #setFollowing(following: boolean): void {
    this.#following = following;
    attr(this.#follow, "aria-pressed", String(following));
  }

  /** Scroll to the end, unless somebody reads further up. */
  follow(): void {
    const output = this.#output;
    this.#size = output.clientHeight + output.scrollHeight;
    if (this.#following) output.scrollTop = output.scrollHeight;
  }

  // -- search ----------------------------------------------------------------------------------

  #find(): void {
    const wanted = this.#search.value.toLowerCase();
    const current = this.#found[this.#foundAt];
    for (const node of this.#found) node.classList.remove("jqw-found", "jqw-found-now");
    this.#found = wanted === "" ? []
      : this.#drawn.filter((node) => node.textContent?.toLowerCase().includes(wanted));
    for (const node of this.#found) node.classList.add("jqw-found");
    this.#foundAt = current === undefined ? -1 : this.#found.indexOf(current);
    if (this.#foundAt >= 0) current?.classList.add("jqw-found-now");
    this.#sayFound();
  }

  #sayFound(): void {
    const all = this.#found.length;
    const lines = all === 1 ? "1 line" : `${all} lines`;
    const place = this.#foundAt < 0 ? lines : `${this.#foundAt + 1} of ${all}`;
    setText(this.#count, this.#search.value === "" ? "" : all === 0 ? "not found" : place);
  }

  #key(event: KeyboardEvent): void {
    if (event.key === "Escape" && this.#search.value !== "") {
      this.#search.value = "";
      this.#find();
      event.stopPropagation();
    }
    if (event.key !== "Enter") return;
    event.preventDefault();
    const all = this.#found.length;
    if (all === 0) return;
    const from = this.#foundAt < 0 && event.shiftKey ? 0 : this.#foundAt;
    this.#found[this.#foundAt]?.classList.remove("jqw-found-now");
    this.#foundAt = (from + (event.shiftKey ? -1 : 1) + all) % all;
    const node = this.#found[this.#foundAt];
    node?.classList.add("jqw-found-now");
    this.#setFollowing(false);
    if (node !== undefined) this.#output.scrollTop = node.offsetTop - this.#output.clientHeight / 2;
    this.#sayFound();
  }

  // -- the whole of it ---------------------------------------------------------------------------

  async #download(): Promise<void> {
    const job = this.#job;
    const parts: string[] = [];
    let next = 0;
    enable(this.#save, false);
    for (let end = false; !end && next < MOST_TO_SAVE;) {
      const answer = await this.context.ask("log", { job, from: next, max: PART });
      if (answer === null || this.#job !== job) break;
      parts.push(text(answer["text"], 4 * PART));
      end = answer["end"] === true || num(answer["next"]) <= next;
      next = num(answer["next"]);
      setText(this.#save, end ? "Download" : `${(next / 1e6).toFixed(1)} MB…`);
      if (!end) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    enable(this.#save, true);
    setText(this.#save, "Download");
    if (this.#job !== job || parts.length === 0) return;
    if (next >= MOST_TO_SAVE) parts.push("\n[… more is in job.logs(…) …]\n");
    const url = URL.createObjectURL(new Blob(parts, { type: "text/plain" }));
    const name = this.#title.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 60) || "job";
    h("a", { href: url, download: `${name}.log` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }
}

function clock(seconds: number): string {
  const at = new Date(seconds * 1000);
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map((part) => String(part).padStart(2, "0")).join(":");
}

function writeLine(node: HTMLElement, spans: Span[]): void {
  node.replaceChildren(...spans.map(spanNode));
  if (spans.length === 0) node.append("\u200b"); // an empty line keeps its height
}

export function writeSpans(node: HTMLElement, lines: Span[][]): void {
  lines.forEach((spans, index) => {
    if (index > 0) node.append("\n");
    node.append(...spans.map(spanNode));
  });
}

function spanNode({ text: content, style }: Span): Node {
  const { fg, bg, bold, dim, italic, underline } = style;
  if (!fg && !bg && !bold && !dim && !italic && !underline) return document.createTextNode(content);
  const node = h("span", {}, content);
  const looks = { bold, "dim-text": dim, italic, underline };
  for (const [name, on] of Object.entries(looks)) node.classList.toggle(`jqw-${name}`, on);
  node.style.color = colour(fg);
  node.style.backgroundColor = bg && `color-mix(in srgb, ${colour(bg)} 25%, transparent)`;
  return node;
}

const COLOURS = [
  "gray", "tomato", "limegreen", "goldenrod",
  "cornflowerblue", "orchid", "darkturquoise", "darkgray",
];

/** One of a terminal's eight colours, adapted to the theme, or any other as it is. */
function colour(name: string): string {
  if (name === "" || name.startsWith("#")) return name;
  return `color-mix(in srgb, ${COLOURS[Number(name) % 8]} 55%, CanvasText)`;
}
