// What the Finished header offers: by status, and a text that all three lists are searched for.

import { cleanRows, num, type ListName, type Plain, type Row } from "../protocol";
import { amount } from "../ui/amount";
import { attr, button, h, span } from "../ui/dom";
import type { Context } from "./context";

const MOST = 200;
const AGAIN_AFTER = 1; // seconds between searches while the queue changes
const CHIPS = ["all", "failed", "cancelled"] as const;
type Chip = (typeof CHIPS)[number];

export class Filter {
  readonly node: HTMLElement;
  readonly input = h("input", {
    type: "search", class: "jqw-input", placeholder: "filter", maxlength: 200,
  });
  #chip: Chip = "all";
  #chips = new Map<Chip, HTMLButtonElement>();
  /** null before the first answer: until then the lists show all that they have. */
  #found: Row[] | null = null;
  #byWords = false; // they were, and not by a chip
  #totals: Plain = {};
  #foundRev = -1; // below 0: no answer to what is asked for now
  /** The lists show the jobs of this group only; 0: of all. */
  group = 0;
  #askedAt = 0;
  #asking = false;

  constructor(private context: Context) {
    attr(this.input, "aria-label", "Filter jobs");
    for (const chip of CHIPS) {
      const label = chip.charAt(0).toUpperCase() + chip.slice(1);
      const node = button(label, label, () => this.#choose(chip), "jqw-chip");
      this.#chips.set(chip, node);
    }
    this.input.addEventListener("input", () => this.#changed());
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.input.value === "") return;
      event.stopPropagation();
      this.input.value = "";
      this.#changed();
    });
    const chips = this.#chips.values();
    this.node = span("filter", ...chips, this.input);
  }

  get active(): boolean {
    return this.#words !== "" || this.group !== 0 || this.#chip !== "all";
  }

  /** True when what the filter finds replaces this list. */
  covers(list: ListName): boolean {
    return this.#found !== null && this.#means(list);
  }

  rows(list: ListName): Row[] {
    return (this.#found ?? []).filter((row) => {
      if (list !== "history") return row.status === list;
      const over = row.status !== "pending" && row.status !== "running";
      return over && (this.#chip === "all" || row.status === this.#chip);
    });
  }

  /** The number in a list's header, with a remark when not all or other rows are shown. */
  told(list: ListName): string {
    const { store } = this.context;
    let count = store.total(list);
    let remark = "";
    if (this.covers(list)) {
      const shown = this.rows(list).length;
      count = this.#foundRev < 0 ? shown : num(this.#totals[list]);
      if (count > shown) remark = ` · first ${shown}`;
    } else if (list === "history" && count > 0 && store.ended > count) {
      remark = ` · last of ${amount(store.ended)}`;
    }
    if (this.#means(list) && this.#foundRev < 0) remark = " · filter not applied yet";
    return amount(count) + remark;
  }

  /** Forget what was found: the queue is another one. */
  reset(): void {
    this.group = 0;
    this.#byWords = false;
    this.#changed();
  }

  update(): void {
    for (const [chip, node] of this.#chips) {
      attr(node, "aria-pressed", String(chip === this.#chip));
    }
    const { store, actedAt } = this.context;
    const { rev } = store.summary;
    // When it is not due yet: the view is drawn again a second after each request.
    const due = this.context.page() - this.#askedAt > AGAIN_AFTER || actedAt > this.#askedAt;
    if (this.active && rev !== this.#foundRev && due) void this.#search(rev);
  }

  #means(list: ListName): boolean {
    return list === "history" ? this.active : this.#all;
  }

  /** True if the filter is about all three lists. */
  get #all(): boolean {
    return this.#words !== "" || this.group !== 0;
  }

  get #words(): string {
    return this.input.value.trim();
  }

  chooseGroup(id: number): void {
    this.group = id;
    this.#changed();
  }

  #choose(chip: Chip): void {
    if (chip === this.#chip) return;
    this.#chip = chip;
    this.#changed();
  }

  #changed(): void {
    this.#foundRev = -1;
    this.#askedAt = -Infinity;
    if (!this.#all || !this.#byWords) this.#found = null;
    this.context.invalidate();
  }

  async #search(rev: number): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const askedAt = (this.#askedAt = this.context.page());
    const status = this.#chip === "all" ? "" : this.#chip;
    const a = { text: this.#words, status, ...(this.group && { group: this.group }) };
    const answer = await this.context.ask("find", a);
    this.#asking = false;
    if (answer !== null && askedAt === this.#askedAt) {
      this.#found = cleanRows(answer["rows"], MOST);
      this.#byWords = this.#all;
      this.#totals = answer;
      this.#foundRev = rev;
    }
    this.context.invalidate();
  }
}
