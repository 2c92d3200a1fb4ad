// One row of a list: made once per job, then only brought up to date.

import type { ListName, Row } from "../protocol";
import { attr, css, h, icon, setIcon, setText, span } from "../ui/dom";
import type { Context } from "./context";
import { knownProgress, wordsOf, type Act, type Words } from "./words";

/** A job that has run this long is not cancelled by one click: too much could be lost. */
const ASK_AFTER = 30;
/** A click this soon after the button changed its meaning was meant for the old one. */
const SETTLED_AFTER = 600;
/** A job that ends before that needs no bar that moves: starting one costs as much as its row. */
const MOVES_AFTER = 1000;

const LABELS: Partial<Record<Act, string>> = { none: "", cancel: "✕", remove: "✕" };

export class Bar {
  readonly node: HTMLElement;
  #fill = span("fill-bar");
  #amount = span("amount");
  #track = h("span", { class: "jqw-track", role: "progressbar" }, this.#fill);
  #madeAt = performance.now();

  constructor() {
    this.node = span("bar", this.#track, this.#amount);
  }

  update(label: string, progress: number): void {
    const percent = Math.floor(progress * 100);
    const known = progress >= 0;
    attr(this.#track, "aria-label", label);
    attr(this.#track, "aria-valuenow", known ? percent : null);
    const { classList } = this.#track;
    classList.toggle("jqw-unknown", !known);
    classList.toggle("jqw-moving", !known && performance.now() - this.#madeAt > MOVES_AFTER);
    const { style } = this.#fill;
    // In steps that are seen: each one is a layer of its own while it moves.
    const moved = known ? `translateX(${percent - 100}%)` : "";
    if (style.transform !== moved) style.transform = moved;
    setText(this.#amount, known ? `${percent} %` : "");
  }
}

/** The button of a row: one place, one size, whatever it offers. */
export class ActButton {
  readonly node = h("button", { type: "button", class: "jqw-button jqw-act", tabindex: -1 });
  #row: Row | null = null;
  #words: Words | null = null;
  #changedAt = 0;
  #asking = false;

  constructor(private context: Context) {
    this.node.addEventListener("click", (event) => {
      event.stopPropagation();
      const accidental = performance.now() - this.#changedAt < SETTLED_AFTER && event.detail > 0;
      if (!accidental) this.press();
    });
    this.node.addEventListener("blur", () => this.#revert());
    this.node.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#asking) {
        this.#revert();
        event.stopPropagation();
      }
    });
  }

  update(row: Row, words: Words, enabled: boolean): void {
    if (this.#words !== null && this.#words.act !== words.act) {
      this.#changedAt = performance.now();
      this.#asking = false;
    }
    this.#row = row;
    this.#words = words;
    const idle = words.act === "none";
    css(this.node, "visibility", idle ? "hidden" : "");
    attr(this.node, "aria-disabled", enabled && words.ready ? null : "true");
    setText(this.node, this.#asking ? "Stop?" : LABELS[words.act] ?? verb(words.act));
    attr(this.node, "aria-label", idle ? null : this.#name(row, words.act));
    attr(this.node, "title", words.act === "cancel" ? "Cancel" : null);
    this.node.classList.toggle("jqw-asking", this.#asking);
  }

  /** Do what the button offers; a long run is asked about in place first. */
  press(): void {
    const row = this.#row;
    const words = this.#words;
    if (row === null || words === null) return;
    if (this.node.getAttribute("aria-disabled") === "true") return;
    if (words.act === "cancel" && !this.#asking && this.#ranLong(row)) {
      this.#asking = true;
      this.node.focus();
      this.context.live.say(`Stop ${row.title}? Enter stops it, Escape keeps it`, true);
    } else {
      this.#asking = false;
      this.#perform(row, words.act);
    }
    this.context.invalidate();
  }

  #perform(row: Row, act: Act): void {
    if (act === "cancel") this.context.cancel(row);
    else if (act === "force") this.context.cancel(row, true);
    else if (act === "remove") this.context.remove(row);
    else if (act === "undo" || act === "release") this.context.release(row);
    else if (act === "retry") this.context.retry(row);
  }

  #ranLong(row: Row): boolean {
    return row.started_at !== null && this.context.now() - row.started_at >= ASK_AFTER;
  }

  #revert(): void {
    if (!this.#asking) return;
    this.#asking = false;
    this.context.invalidate();
  }

  #name(row: Row, act: Act): string {
    if (act === "undo") return "Undo";
    if (this.#asking) return `Cancel ${row.title}: stop it?`;
    return `${verb(act)} ${row.title}`;
  }
}

function verb(act: Act): string {
  return act.charAt(0).toUpperCase() + act.slice(1);
}

/** A row without words: copying one is quicker than making each anew. */
function pattern(): HTMLElement {
  const cell = (kind: string, ...parts: Node[]): HTMLElement =>
    h("div", { class: `jqw-${kind}`, role: "gridcell" }, ...parts);
  const title = h("b", { class: "jqw-title" });
  return h(
    "div",
    { class: "jqw-row", role: "row", tabindex: -1 },
    cell("lead", icon()),
    cell("what", span("name", title, span("same"), span("args"))),
    cell("info"), cell("time"), cell("acts"),
  );
}

let made: HTMLElement | undefined;

export class RowView {
  readonly node = (made ??= pattern()).cloneNode(true) as HTMLElement;
  readonly button: ActButton;
  row: Row | undefined;
  list: ListName = "running";
  index = -1;
  key = "";
  readonly group = undefined;
  /** How many are ahead of it, in words, and its place in the queue; `Places` draws them. */
  ahead = "";
  place = "";
  /** Its time, in words: the column is as wide as they are. */
  time = "";
  #icon = this.#part("icon");
  #title = this.#part("title");
  #same = this.#part("same");
  #args = this.#part("args");
  #what = this.#part("what");
  #name = this.#part("name");
  #remarks = new Map<string, HTMLElement>(); // beside the name, by kind; few rows have any
  #info = this.#part("info");
  #time = this.#part("time");
  #bar: Bar | null = null;

  constructor(private context: Context) {
    this.button = new ActButton(context);
    this.#part("acts").append(this.button.node);
  }

  focusAct(): void {
    this.button.node.focus();
  }

  #part(kind: string): HTMLElement {
    return this.node.querySelector(`.jqw-${kind}`) as HTMLElement;
  }

  /** Bring the row up to date. `still`: it has ended and waits under the pointer, without acts. */
  update(
    row: Row | undefined, selected: boolean, still: boolean, beside: Beside,
  ): void {
    this.row = row;
    this.ahead = this.place = this.time = "";
    this.node.classList.toggle("jqw-empty", row === undefined);
    if (row === undefined) {
      setText(this.#title, "…");
      return;
    }
    const { context } = this;
    const requested = context.pendingActs.get(row.id)?.kind ?? "";
    const words = wordsOf(row, requested, context.store, context.now());
    if (this.list !== "pending") [words.info, words.ahead] = [words.info || words.ahead, ""];
    const waits = row.status === "pending";
    if (still) words.act = "none";
    if (words.act === "none" && this.button.node.matches(":focus")) {
      this.node.focus({ preventScroll: true });
    }
    attr(this.node, "data-job-id", row.id);
    attr(this.node, "data-status", words.state);
    attr(this.node, "aria-selected", String(selected));
    attr(this.node, "draggable", waits && context.enabled ? "true" : null);
    this.node.classList.toggle("jqw-asked", requested !== "");
    setIcon(this.#icon, words.icon, words.state);
    setText(this.#title, row.title);
    const { room } = context;
    const told = (one: Row): string => context.common.told(one);
    const called = lengthOf(`${row.title} ${told(row)}`);
    const isLong = called > Math.min(38, room);
    hint(this.#name, isLong, `${row.title} ${row.args}`);
    writeArguments(this.#same, this.#args, row, told, isLong ? beside : null);
    const where = row.status === "running" ? row.where : null;
    this.#note("where", where === null ? "" : `on ${where.split(" ", 1)[0]}`, where);
    this.#note("changed", row.differs ? "changed since" : "", row.note);
    this.#note("priority", waits ? priorityText(row.priority) : "");
    this.#note("attempt", row.attempt > 1 ? `attempt ${row.attempt}` : "");
    this.#drawBar(row, words);
    this.ahead = words.ahead;
    this.place = waits && row.position !== null ? String(row.position + 1) : "";
    attr(this.#info, "aria-label", words.ahead || null);
    setText(this.#info, words.info);
    const said = lengthOf(words.info);
    hint(this.#info, said > Math.min(28, room), words.info);
    const least = room * 0.8; // letters of a title are wide
    const isNext = words.ahead !== "";
    this.#info.classList.toggle("jqw-next", isNext);
    const isLarge = said > least || (called > least && !isNext);
    this.node.classList.toggle("jqw-says", isLarge);
    this.node.classList.toggle("jqw-column", !isLarge && !isNext);
    this.time = (context.brief && words.brief) || words.time;
    setText(this.#time, this.time);
    this.button.update(row, words, context.enabled);
  }

  #note(kind: string, text: string, title: string | null = null): void {
    let remark = this.#remarks.get(kind);
    if ((remark?.textContent ?? "") !== text) {
      remark?.remove();
      this.#remarks.delete(kind);
      if (text === "") return;
      this.#what.append(remark = span(kind, text));
      this.#remarks.set(kind, remark);
    }
    if (remark !== undefined) attr(remark, "title", title);
  }

  #drawBar(row: Row, words: Words): void {
    this.node.classList.toggle("jqw-barred", words.bar);
    if (!words.bar) {
      this.#bar?.node.remove();
      this.#bar = null;
      return;
    }
    if (this.#bar === null) {
      this.#bar = new Bar();
      attr(this.#bar.node, "role", "gridcell");
      this.#info.before(this.#bar.node);
    }
    this.#bar.update(row.title, knownProgress(row));
  }
}

/** Show a text that may be cut as a tooltip; a wide list clips only texts that have one. */
function hint(node: Element, isLong: boolean, text: string): void {
  attr(node, "title", isLong ? text : null);
}

/** Length in letters of 10 px; letters of other scripts may be wider and count twice. */
function lengthOf(text: string): number {
  return text.replace(/[^\0-ɏ]/g, "__").length;
}

export type Beside = (by: number) => Row | undefined;

/** Write arguments so that what the rows beside have too, or folders of a file, is cut first. */
export function writeArguments(
  same: Element, rest: Element, row: Row, told: (row: Row) => string, beside: Beside | null,
): void {
  const args = told(row);
  let common = args.length;
  for (const by of [-1, 1]) {
    const other = beside?.(by);
    const others = other?.title === row.title ? told(other) : args;
    if (others === args) continue;
    let at = 0;
    while (at < common && others[at] === args[at]) at += 1;
    common = at;
  }
  const differs = common < args.length && /.*(, |[/\\])/.exec(args.slice(0, common));
  const found = differs || /.*[/\\]/.exec(args);
  const length = beside === null ? 0 : found?.[0].length ?? 0;
  setText(same, args.slice(0, length));
  setText(rest, args.slice(length));
}

export function priorityText(priority: number): string {
  if (priority === 0) return "";
  return priority > 0 ? `↑${priority}` : `↓${-priority}`;
}
