// Lanes over time: what ran when, on which lane, how it ended, and when the queue stood still.

import { cleanTimeline, type Bar, type Timeline as Told } from "../../protocol";
import { amount } from "../../ui/amount";
import { attr, div, h, setText, span as textOf } from "../../ui/dom";
import { clock, took } from "../../ui/time";
import { ZoomButtons } from "../../ui/zoom";
import type { Context } from "../context";
import { isCut, moved, shareOf, SHORTEST, ticks, zoomed, type Span } from "./axis";

const LIVE = 2; // seconds between two looks while jobs run
const STEP = 0.25; // of what is shown, by which a key moves it
const LETTERS = 100; // px between two ticks at least
const IN_TABLE = 200; // bars that a screen reader is told of
const EVER = 1e11; // later than any instant

/** What is told of a bar, in words. */
export function wordsOf(bar: Bar, zero: number): string {
  const title = bar.title || (bar.count > 1 ? `${amount(bar.count)} attempts` : "a job");
  const failed = bar.count > 1 && bar.failed > 0 ? `, ${amount(bar.failed)} failed` : "";
  const again = bar.attempt > 1 ? `, attempt ${bar.attempt}` : "";
  const long = took(bar.count > 1 ? bar.busy : bar.end - bar.start);
  return `${title}: ${bar.status}${failed}${again}, ${clock(zero + bar.start)}, ${long}`;
}

export class TimelineView {
  readonly node: HTMLElement;
  #plot = h("div", { class: "jqw-lanes", role: "img", tabindex: 0, "aria-label": "Timeline" });
  #lanes = div("lanes-room");
  #axis = div("axis");
  #hover = div("bar-told");
  #rows = h("tbody");
  #buttons = new ZoomButtons((times) => this.#zoom(times), () => this.#show(null));
  #told: Told | null = null;
  /** Of all there is. */
  #whole: Span = { from: 0, to: 1 };
  /** What is shown; null: all, also what comes. */
  #span: Span | null = null;
  #drawn = new WeakMap<Element, Bar>();
  #askedFor = "";
  #askedAt = -Infinity;
  #asking = false;

  constructor(private context: Context, private select: (job: string) => void) {
    const heads = ["Lane", "Job", "Status", "From", "Took"].map((name) =>
      h("th", { scope: "col" }, name));
    const table = h(
      "table", { "aria-label": "Timeline as a table" }, h("thead", {}, h("tr", {}, ...heads)),
      this.#rows,
    );
    this.#plot.append(this.#lanes, this.#axis);
    const head = div("plot-head", this.#buttons.node, this.#hover);
    this.node = div("timeline", head, this.#plot, div("hidden", table));
    this.#plot.addEventListener("keydown", (event) => this.#key(event));
    this.#plot.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.#plot.addEventListener("pointerover", (event) => this.#point(event.target));
    this.#plot.addEventListener("click", (event) => {
      const bar = this.#drawn.get(event.target as Element);
      if (bar !== undefined && bar.job !== "") this.select(bar.job);
    });
    this.#dragging();
  }

  /** Look at what is new, if it is time for that. Called while it is shown. */
  update(): void {
    const { store } = this.context;
    const now = this.context.page();
    const wanted = JSON.stringify([this.#span, store.summary.epoch]);
    const changed = wanted !== this.#askedFor || (this.#told?.now ?? 0) === 0;
    const isDue = store.busy && now - this.#askedAt > LIVE;
    if ((changed || isDue) && !this.#asking) void this.#look(wanted);
    this.#enable();
  }

  /** Forget what was told: the queue is another one. */
  reset(): void {
    this.#told = this.#span = null;
    this.#askedFor = "";
  }

  async #look(wanted: string): Promise<void> {
    this.#asking = true;
    this.#askedFor = wanted;
    this.#askedAt = this.context.page();
    const asked = this.#span;
    const { from, to } = asked ?? { from: 0, to: EVER };
    const answer = await this.context.ask("timeline", { from, to });
    this.#asking = false;
    if (answer === null) return;
    if (asked !== this.#span) this.context.invalidate(); // it is of a span that was shown before
    const told = (this.#told = cleanTimeline(answer));
    if (asked === null) this.#whole = wholeOf(told);
    this.#draw();
  }

  // -- which span ------------------------------------------------------------------------------

  get #shown(): Span {
    return this.#span ?? this.#whole;
  }

  #show(span: Span | null): void {
    const { from, to } = this.#whole;
    this.#span = span !== null && span.to - span.from < (to - from) * 0.999 ? span : null;
    this.#draw(); // what is known of it; the rest comes
    this.context.invalidate();
  }

  #zoom(times: number, at = 0.5): void {
    this.#show(zoomed(this.#shown, times, at, this.#whole));
  }

  #move(by: number): void {
    if (this.#span !== null) this.#show(moved(this.#span, by, this.#whole));
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowLeft") this.#move(-STEP);
    else if (event.key === "ArrowRight") this.#move(STEP);
    else if (event.key === "+" || event.key === "=") this.#zoom(0.5);
    else if (event.key === "-") this.#zoom(2);
    else if (event.key === "Home" || event.key === "0") this.#show(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Zoom where the plot has the focus or Ctrl is held: else the wheel is the page's. */
  #wheel(event: WheelEvent): void {
    const isOurs = event.ctrlKey || event.metaKey || this.#plot.matches(":focus");
    const { left, width } = this.#lanes.getBoundingClientRect();
    if (!isOurs || width === 0) return;
    event.preventDefault();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.#move(event.deltaX / width);
    else this.#zoom(event.deltaY > 0 ? 1.25 : 0.8, (event.clientX - left) / width);
  }

  #dragging(): void {
    let last: number | null = null;
    this.#plot.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && this.#span !== null) last = event.clientX;
    });
    this.#plot.addEventListener("pointermove", (event) => {
      if (last === null) return;
      const width = Math.max(1, this.#lanes.clientWidth);
      this.#move((last - event.clientX) / width);
      last = event.clientX;
    });
    const stop = (): void => void (last = null);
    for (const name of ["pointerup", "pointercancel", "pointerleave"] as const) {
      this.#plot.addEventListener(name, stop);
    }
  }

  #enable(): void {
    const { from, to } = this.#shown;
    const closer = this.#told !== null && to - from > SHORTEST * 1.01;
    this.#buttons.enable(closer, this.#span !== null);
  }

  // -- drawing ---------------------------------------------------------------------------------

  #draw(): void {
    const told = this.#told;
    this.#enable();
    if (told === null) return;
    const shown = this.#shown;
    const place = (node: HTMLElement, from: number, to: number): void => {
      const left = Math.max(0, shareOf(told.zero + from, shown));
      const right = Math.min(1, shareOf(told.zero + to, shown));
      node.style.left = `${left * 100}%`;
      node.style.width = `${Math.max(0, right - left) * 100}%`;
    };
    const isSeen = ({ start, end }: { start: number; end: number }): boolean =>
      told.zero + end >= shown.from && told.zero + start <= shown.to;
    const lanes = Array.from({ length: Math.max(1, told.lanes) }, () => div("lane"));
    for (const bar of told.bars.filter(isSeen)) {
      const node = h("i", { class: "jqw-span", "data-status": bar.status });
      if (bar.job !== "") attr(node, "data-job-id", bar.job);
      place(node, bar.start, bar.end);
      this.#drawn.set(node, bar);
      lanes[bar.lane]?.append(node);
    }
    const gaps = told.pauses.filter(isSeen).map((pause) => {
      const kind = pause.away ? "No kernel had the queue" : "Paused";
      const node = h("i", { class: "jqw-gap", title: pause.reason || kind });
      node.classList.toggle("jqw-away", pause.away);
      place(node, pause.start, pause.end);
      return node;
    });
    this.#lanes.replaceChildren(...gaps, ...lanes);
    this.#drawAxis(shown);
    this.#write(told);
    const words = `${amount(told.lanes)} lanes, ${amount(countOf(told.bars))} attempts`;
    attr(this.#plot, "aria-label", `Timeline: ${words}`);
  }

  #drawAxis(shown: Span): void {
    const width = this.#lanes.clientWidth;
    const most = Math.max(1, Math.floor(width / LETTERS));
    this.#axis.replaceChildren(...ticks(shown, most).map(({ at, text }) => {
      const node = textOf("tick", isCut(at, text, shown, width) ? "" : text);
      node.style.left = `${shareOf(at, shown) * 100}%`;
      return node;
    }));
  }

  /** The same facts as a table, for who cannot see the bars. */
  #write(told: Told): void {
    const newest = told.bars.slice(-IN_TABLE);
    this.#rows.replaceChildren(...newest.map((bar) => {
      const cells = [
        String(bar.lane + 1), bar.title || `${amount(bar.count)} attempts`, bar.status,
        clock(told.zero + bar.start), took(bar.end - bar.start),
      ];
      return h("tr", {}, ...cells.map((cell) => h("td", {}, cell)));
    }));
  }

  #point(target: EventTarget | null): void {
    const bar = this.#drawn.get(target as Element);
    setText(this.#hover, bar === undefined || this.#told === null ? ""
      : wordsOf(bar, this.#told.zero));
  }
}

function countOf(bars: Bar[]): number {
  return bars.reduce((sum, bar) => sum + bar.count, 0);
}

/** From the first start to now. */
function wholeOf({ zero, now, bars, pauses }: Told): Span {
  const first = Math.min(now, ...[...bars, ...pauses].map(({ start }) => start));
  return { from: zero + first, to: zero + Math.max(now, first + 1) };
}
