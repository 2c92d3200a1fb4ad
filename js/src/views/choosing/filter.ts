// The bar above the list: which jobs it shows, by status, by kind of failure and by words.

import {
  cleanFound, cleanKinds, cleanNames, LISTS, type Found, type ListName, type View,
} from "../../protocol";
import { amount } from "../../ui/amount";
import { active, attr, button, h, setText, show, span } from "../../ui/dom";
import type { Context } from "../context";

const AGAIN_AFTER = 1; // seconds between searches while the queue changes
const CHIPS = [
  ["", "All"], ["running", "Running"], ["pending", "Queued"], ["completed", "Done"],
  ["failed", "Failed"], ["cancelled", "Cancelled"],
] as const;
type Chip = (typeof CHIPS)[number][0];

interface Radio {
  node: HTMLButtonElement;
  count: HTMLElement;
}

export class Filter {
  readonly node: HTMLElement;
  readonly input = h("input", {
    type: "search", class: "jqw-input", placeholder: "name, argument, error", maxlength: 200,
    role: "searchbox", "aria-label": "Search jobs", title: "Search jobs (/)",
  });
  /** What the list shows: null before the first answer, and when it shows all. */
  found: Found | null = null;
  /** What `found` is the answer to. */
  view: View | null = null;
  #chip: Chip = "";
  #kind = "";
  #radios = new Map<Chip, Radio>();
  #kinds: Kinds;
  #order: Order;
  #foundRev = -1; // below 0: no answer to what is asked for now
  #askedAt = 0;
  #asking = false;

  constructor(private context: Context) {
    const group = h("div", { role: "radiogroup", "aria-label": "Show", class: "jqw-chips" });
    this.#kinds = new Kinds(context, (kind) => this.#choose("failed", kind));
    this.#order = new Order(context, () => this.#changed());
    for (const [chip, label] of CHIPS) {
      const count = span("count");
      const node = h(
        "button", { type: "button", role: "radio", class: "jqw-button jqw-chip" },
        `${label} `, count,
      );
      node.addEventListener("click", () => this.#choose(chip));
      this.#radios.set(chip, { node, count });
      group.append(node);
      if (chip === "failed") group.append(this.#kinds.opener);
    }
    group.addEventListener("keydown", (event) => this.#arrows(event));
    this.input.addEventListener("input", () => this.#changed());
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.input.value === "") return;
      event.stopPropagation();
      this.input.value = "";
      this.#changed();
    });
    const seek = span("seek", this.input, this.#order.node);
    const parts = [group, seek, this.#kinds.node];
    this.node = h("div", { class: "jqw-filter" }, ...parts);
  }

  /** What is asked for now. */
  get wanted(): View {
    const view = { text: this.#words, status: this.#chip, kind: this.#kind };
    const { sort, down } = this.#order;
    return sort === "" ? view : { ...view, sort, down };
  }

  isSame(view: View): boolean {
    return JSON.stringify(view) === JSON.stringify(this.wanted);
  }

  /** How many jobs the list shows. */
  get count(): number {
    const { counts, listed: { kept } } = this.context.store.summary;
    const jobs = this.found?.jobs ?? [counts.running, counts.pending, ...kept];
    return jobs.reduce((sum, one) => sum + one, 0);
  }

  /** How many failed jobs it shows, if it shows no others. */
  get failures(): number {
    return this.#chip === "failed" && !this.waits ? this.found?.jobs[2] ?? 0 : 0;
  }

  /** To how many jobs that it shows what can be done. */
  get acts(): Record<"retry" | "cancel" | "hold" | "release", number> {
    const { counts, listed: { kept } } = this.context.store.summary;
    const [running, pending] = this.found?.jobs ?? [counts.running, counts.pending];
    const retry = this.found === null ? kept[1] : this.failures;
    const all = this.found === null;
    return {
      retry, cancel: running + pending, hold: all ? pending - counts.held : pending,
      release: all ? counts.held : 0,
    };
  }

  get active(): boolean {
    return this.#words !== "" || this.#chip !== "" || this.#order.sort !== "";
  }

  /** True while the list does not show yet what is asked for. */
  get waits(): boolean {
    return this.active && this.#foundRev < 0;
  }

  /** The number of jobs in a section's header, with a remark while other rows are shown. */
  told(list: ListName): string {
    const place = LISTS.indexOf(list);
    const { counts, listed: { kept } } = this.context.store.summary;
    const all = list === "history" ? kept.reduce((sum, one) => sum + one, 0) : counts[list];
    const count = this.found === null ? all : this.found.jobs[place] ?? 0;
    return amount(count) + (this.waits ? " · filter not applied yet" : "");
  }

  /** Forget what was found: the queue is another one. */
  reset(): void {
    this.found = this.view = null;
    this.#foundRev = -1;
    this.#askedAt = -Infinity;
    this.context.invalidate();
  }

  /** Show what has failed. */
  showFailed(): void {
    this.#choose("failed");
  }

  /** Show all jobs again. */
  clear(): void {
    this.#chip = "";
    this.#kind = "";
    this.input.value = "";
    this.#order.clear();
    this.#changed();
    this.input.focus();
  }

  update(): void {
    const { store, actedAt } = this.context;
    const { rev, counts, listed: { kept } } = store.summary;
    const [completed, failed, cancelled, retried] = kept;
    const told: Record<Chip, number> = {
      "": counts.running + counts.pending + completed + failed + cancelled + retried,
      running: counts.running, pending: counts.pending, completed, failed, cancelled,
    };
    for (const [chip, { node, count }] of this.#radios) {
      attr(node, "aria-checked", String(chip === this.#chip));
      attr(node, "tabindex", chip === this.#chip ? 0 : -1);
      setText(count, amount(told[chip]));
    }
    this.#kinds.update(failed > 0 || this.#kind !== "", this.#kind);
    show(this.node, told[""] > 0 || this.active);
    // When it is not due yet: the view is drawn again a second after each request.
    const due = this.context.page() - this.#askedAt > AGAIN_AFTER || actedAt > this.#askedAt;
    if (this.active && rev !== this.#foundRev && due) void this.#search(rev);
  }

  get #words(): string {
    return this.input.value.trim();
  }

  #choose(chip: Chip, kind = ""): void {
    if (chip === this.#chip && kind === this.#kind) return;
    this.#chip = chip;
    this.#kind = kind;
    this.#changed();
  }

  #arrows(event: KeyboardEvent): void {
    const steps: Record<string, number> = {
      ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1,
    };
    const step = steps[event.key];
    const chips = CHIPS.map(([chip]) => chip);
    const at = chips.findIndex((chip) => this.#radios.get(chip)?.node === event.target);
    if (step === undefined || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    const chip = chips[(at + step + chips.length) % chips.length] ?? "";
    this.#choose(chip);
    this.#radios.get(chip)?.node.focus();
  }

  #changed(): void {
    this.#foundRev = -1;
    this.#askedAt = -Infinity;
    if (!this.active) this.found = this.view = null;
    this.context.invalidate();
  }

  async #search(rev: number): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const askedAt = (this.#askedAt = this.context.page());
    const view = this.wanted;
    const answer = await this.context.ask("list", { view });
    this.#asking = false;
    if (answer !== null && askedAt === this.#askedAt) {
      const isSame = JSON.stringify(view) === JSON.stringify(this.view);
      this.found = cleanFound(answer);
      if (!isSame) this.view = view;
      this.#foundRev = rev;
    }
    this.context.invalidate();
  }
}

/** The menu of kinds of failures, which are counted when it is opened. */
class Kinds {
  readonly opener: HTMLButtonElement;
  readonly node = h("div", { role: "menu", "aria-label": "Kinds of failure", class: "jqw-menu" });
  #open = false;

  constructor(
    private context: Context,
    private choose: (kind: string) => void,
  ) {
    this.opener = button("", "Kinds of failure", () => void this.#toggle(), "jqw-kinds-opener");
    attr(this.opener, "aria-haspopup", "menu");
    attr(this.opener, "title", "Kinds of failure");
    this.node.addEventListener("keydown", (event) => this.#key(event));
    this.node.addEventListener("focusout", (event) => {
      const to = event.relatedTarget;
      if (to !== this.opener && !(to instanceof Node && this.node.contains(to))) this.#shut(false);
    });
    show(this.node, false);
  }

  update(there: boolean, kind: string): void {
    show(this.opener, there);
    if (!there) this.#shut(false);
    attr(this.opener, "aria-expanded", String(this.#open));
    setText(this.opener, kind);
    attr(this.opener, "aria-label", `Kinds of failure${kind === "" ? "" : `: ${kind}`}`);
  }

  async #toggle(): Promise<void> {
    if (this.#open) {
      this.#shut(true);
      return;
    }
    const answer = await this.context.ask("kinds");
    if (answer === null) return;
    const kinds = cleanKinds(answer["kinds"]);
    const all = kinds.reduce((sum, [, count]) => sum + count, 0);
    const item = (kind: string, text: string): Node => {
      const node = button(text, text, () => {
        this.#shut(true);
        this.choose(kind);
      }, "jqw-menu-item");
      attr(node, "role", "menuitem");
      attr(node, "tabindex", -1);
      return node;
    };
    this.node.replaceChildren(
      ...kinds.map(([kind, count]) => item(kind, `${amount(count)} ${kind}`)),
      item("", `All ${amount(all)} failed`),
    );
    this.#open = true;
    show(this.node, true);
    this.#items[0]?.focus();
    this.context.invalidate();
  }

  get #items(): HTMLElement[] {
    return [...this.node.children] as HTMLElement[];
  }

  #shut(focus: boolean): void {
    if (!this.#open) return;
    this.#open = false;
    if (focus && this.node.contains(active(this.node))) this.opener.focus();
    show(this.node, false);
    this.context.invalidate();
  }

  #key(event: KeyboardEvent): void {
    const items = this.#items;
    const at = items.indexOf(event.target as HTMLElement);
    const to: Record<string, number> = {
      ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + 1, ArrowUp: at - 1,
      Home: 0, End: items.length - 1,
    };
    const next = to[event.key];
    if (next !== undefined) items[(next + items.length) % items.length]?.focus();
    else if (event.key === "Escape" || event.key === "Tab") this.#shut(true);
    else return;
    if (event.key !== "Tab") event.preventDefault();
    event.stopPropagation();
  }
}

const SORTS = [["", "Order"], ["start", "Start"], ["duration", "Duration"], ["memory", "Memory"]];

/** By what the jobs of a section or a group are sorted; the metrics are looked up when needed. */
class Order {
  readonly node = span("order");
  #select = h("select", { class: "jqw-input", "aria-label": "Sort by", title: "Sort by" });
  #turn: HTMLButtonElement;
  #down = true;

  constructor(private context: Context, private changed: () => void) {
    this.#turn = button("↓", "Largest first", () => {
      this.#down = !this.#down;
      this.#told();
    }, "jqw-plain");
    this.#fill([]);
    this.#select.addEventListener("change", () => this.#told());
    this.#select.addEventListener("pointerenter", () => void this.#look());
    this.#select.addEventListener("focus", () => void this.#look());
    this.node.append(this.#select, this.#turn);
    show(this.#turn, false);
  }

  get sort(): string {
    return this.#select.value;
  }

  get down(): boolean {
    return this.#down;
  }

  clear(): void {
    this.#select.value = "";
    show(this.#turn, false);
  }

  #told(): void {
    show(this.#turn, this.sort !== "");
    setText(this.#turn, this.#down ? "↓" : "↑");
    attr(this.#turn, "aria-label", this.#down ? "Largest first" : "Smallest first");
    this.changed();
  }

  async #look(): Promise<void> {
    const answer = await this.context.ask("measured");
    if (answer !== null) this.#fill(cleanNames(answer["names"]));
  }

  #fill(metrics: string[]): void {
    const all = [...SORTS, ...metrics.map((name) => [`metric:${name}`, name])];
    if (all.length === this.#select.length) return;
    const { value } = this.#select;
    this.#select.replaceChildren(...all.map(([key, label]) =>
      h("option", { value: key ?? "" }, label ?? "")));
    this.#select.value = value;
  }
}
