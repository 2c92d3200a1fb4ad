// The output of one job, read on from a cursor; follows the end while the end is in view.

import { num, text } from "../protocol";
import { AnsiLines, type Span } from "../ui/ansi";
import { div, h, setText, show } from "../ui/dom";
import type { Context } from "./context";

const PART = 65_536;
const NOTHING = "No output yet";

export class LogView {
  readonly node: HTMLElement;
  /** True when all there is so far has been read. */
  atEnd = false;
  #output = h("div", { role: "log", "aria-live": "off", tabindex: 0, class: "jqw-log" });
  #above = h("p", { class: "jqw-note" });
  #lines = new AnsiLines();
  #drawn: HTMLElement[] = [];
  #gone = 0; // lines dropped from the beginning when last drawn
  #next = -1;
  #job = "";
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
        this.#following = scrollTop + clientHeight >= scrollHeight - 4;
      }
      if (this.#following) this.#touched = false;
    });
    this.#output.setAttribute("aria-label", "Log");
    this.node = div("log-box", this.#above, this.#output);
  }

  reset(job: string): void {
    this.#job = job;
    this.#lines = new AnsiLines();
    this.#drawn = [];
    this.#gone = 0;
    this.#next = -1;
    this.atEnd = false;
    this.#following = true;
    this.#touched = false;
    this.#output.replaceChildren();
    this.#note("");
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
      this.#note("Earlier output is not shown");
    }
    this.#next = num(answer["next"], Math.max(0, next));
    this.atEnd = answer["end"] === true;
    const piece = text(answer["text"], 4 * PART);
    if (piece !== "") {
      this.#lines.write(piece);
      this.#draw();
    } else if (this.#next === 0) {
      this.#note(NOTHING);
    }
    if (!this.atEnd) this.context.invalidate();
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
    });
    this.follow();
  }

  #note(words: string): void {
    setText(this.#above, words);
    show(this.#above, words !== "");
  }

  /** Scroll to the end, unless somebody reads further up. */
  follow(): void {
    const output = this.#output;
    this.#size = output.clientHeight + output.scrollHeight;
    if (this.#following) output.scrollTop = output.scrollHeight;
  }
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
