// The view of a queue: toolbar, banner, resources, the lists, details; and what the keys do.

import { cleanRow, LISTS, type Part, type Row } from "../protocol";
import { active, attr, css, div, h, show } from "../ui/dom";
import { commandOf, takesText, type Command } from "../ui/keys";
import { ROW, TWO_LINES } from "../ui/list";
import { Away } from "./away";
import { Banner } from "./banner";
import type { Context } from "./context";
import { Details } from "./details";
import { Filter } from "./choosing/filter";
import { GroupRow } from "./groups";
import { Lists, type Spot } from "./lists";
import { Picks } from "./choosing/picks";
import { ResourcesView } from "./resources";
import { Scroller, type Current } from "./scroller";
import { HEIGHT, sizeHandle } from "./size";
import { Switch } from "./timeline/switch";
import { TimelineView } from "./timeline/timeline";
import { Toolbar } from "./toolbar";

const WIDE = 720; // px of usual letters from which details stand at the side
const NARROW = 500; // px of usual letters below which a row has two lines
const USUAL_LETTER = 13; // px
const FOR_THEM = 130; // px that such a view may be higher: what stands above takes more lines

export class QueueView {
  readonly node = h("div", { class: "jqw", role: "region" });
  #toolbar: Toolbar;
  #away: Away;
  #banner: Banner;
  #resources: ResourcesView;
  #filter: Filter;
  #lists: Lists;
  #picks: Picks;
  #pickedFrom: Spot | null = null; // where a range begins
  #details: Details;
  #switch: Switch;
  #timeline: TimelineView;
  #looked: Row | null = null; // the job that was chosen elsewhere than in the list
  #body = div("body");
  #rows: Scroller;
  #chosen = HEIGHT;
  #ended = new Set<string>();
  #knownEpoch = "";

  constructor(
    private context: Context,
    signal: AbortSignal,
  ) {
    this.#toolbar = new Toolbar(context);
    const showFailed = (): void => {
      this.#switch.choose("List");
      this.#filter.showFailed();
    };
    this.#filter = new Filter(context);
    this.#away = new Away(
      context, showFailed, (job) => void this.#look(job), () => this.#filter.input.focus(), signal,
    );
    this.#banner = new Banner(context);
    this.#resources = new ResourcesView(context);
    this.#lists = new Lists(context, this.#filter);
    this.#picks = new Picks(context, this.#filter);
    this.#details = new Details(context, () => this.#open(null), this.#neighbour);
    const drawn = (): void => this.#placeDetails();
    const parts = [context, this.#filter, this.#lists, this.#picks] as const;
    this.#rows = new Scroller(...parts, drawn, signal);
    this.#timeline = new TimelineView(context, (job) => void this.#look(job));
    this.#switch = new Switch(() => this.#turn());
    this.#filter.node.append(this.#switch.node);
    this.#body.append(this.#rows.node, this.#timeline.node);
    show(this.#timeline.node, false);
    const handle = sizeHandle((height) => {
      this.#chosen = height - this.#more;
      this.node.style.setProperty("--jqw-most", `${this.#chosen}px`);
      this.#fit();
      context.invalidate();
    });
    this.node.append(
      this.#toolbar.node, this.#away.node, this.#banner.node, this.#resources.node,
      this.#filter.node, this.#picks.node, this.#body, handle, context.live.node,
    );
    this.node.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#rows.node.addEventListener("click", (event) => {
      const view = this.#rows.viewOf(event.target);
      const spot = view && { list: view.list, index: view.index };
      if (view?.row !== undefined && spot !== undefined) {
        if (event.shiftKey) this.#pickTo(spot);
        else if (event.ctrlKey || event.metaKey) this.#pick(view.row, spot);
        else {
          this.#picks.clear();
          this.#pickedFrom = spot;
          this.#toggle(view.row);
        }
      } else if (view?.group !== undefined) this.#lists.toggle(view.group);
    }, { signal });
    this.#rows.node.addEventListener("mousedown", (event) => {
      if (event.shiftKey && this.#rows.viewOf(event.target)) event.preventDefault(); // no text
    }, { signal });
  }

  /** Take a pushed slice of a list. */
  push(part: Part): void {
    this.#lists.push(part);
  }

  /** Fit the view into its new width; `letter`: px of the host's letters. */
  resized(width: number, letter: number): void {
    const scale = Math.max(1, letter / USUAL_LETTER);
    this.#rows.width = width / scale;
    this.#rows.wide = this.#rows.width >= WIDE;
    const isNarrow = this.#rows.width < NARROW;
    this.node.classList.toggle("jqw-two", isNarrow);
    this.#rows.head = Math.round(ROW * scale);
    this.#rows.row = isNarrow ? Math.round(TWO_LINES * scale) : this.#rows.head;
    this.node.style.setProperty("--jqw-head", `${this.#rows.head}px`);
    this.node.style.setProperty("--jqw-row", `${this.#rows.row}px`);
    this.node.style.setProperty("--jqw-more", `${this.#more}px`);
    this.#fit();
    this.context.invalidate();
  }

  render(): void {
    const { store } = this.context;
    const { summary } = store;
    if (summary.epoch !== this.#knownEpoch) {
      this.#knownEpoch = summary.epoch;
      this.#lists.reset(summary.epoch);
      this.#filter.reset();
      this.#picks.clear();
      this.#timeline.reset();
      this.#away.reset();
      this.context.common.reset();
      this.#looked = null;
      this.#ended = new Set(store.history.map((row) => row.id));
    }
    attr(this.node, "aria-label", summary.name ? `Job queue ${summary.name}` : "Job queue");
    this.node.classList.toggle("jqw-dim", this.context.rpc.gone);
    this.node.classList.toggle("jqw-wide", this.#rows.wide);
    this.node.classList.toggle("jqw-looking", this.#looked !== null);
    this.#lists.refresh();
    this.#rows.follow();
    this.#rows.render(); // first: it reads where things stand, and nothing is written yet
    const isFull = !this.#isTimeline && this.#rows.height >= this.#most;
    this.node.classList.toggle("jqw-full", isFull);
    this.#toolbar.update();
    this.#away.update();
    this.#banner.update();
    this.#resources.update();
    this.#filter.update();
    this.#picks.update();
    if (this.#isTimeline) this.#timeline.update();
    this.#announce();
  }

  /** Watch no window while nothing is in view. */
  hide(): void {
    this.#lists.shown();
  }

  // -- the timeline in the place of the list --------------------------------------------------

  get #isTimeline(): boolean {
    return this.#switch.which === "Timeline";
  }

  #turn(): void {
    this.#looked = null;
    this.node.classList.toggle("jqw-by-time", this.#isTimeline);
    show(this.#rows.node, !this.#isTimeline);
    show(this.#timeline.node, this.#isTimeline);
    if (this.#isTimeline) this.hide();
    this.context.invalidate();
  }

  /** Show the details of a job that the list may not have in view. */
  async #look(job: string): Promise<void> {
    const known = this.context.store.find(job);
    const answer = known === null ? await this.context.ask("job", { job }) : null;
    this.#looked = known ?? cleanRow(answer?.["row"]);
    this.context.invalidate();
  }

  // -- details ---------------------------------------------------------------------------------

  #open(row: Row | null): void {
    this.#looked = null;
    const spot = row === null ? null : this.#lists.find(row.id);
    const inside = this.#details.node.contains(active(this.node));
    const before = this.#rows.selected?.key;
    if (row !== null) this.#fit();
    this.#rows.selected = row === null || spot === null ? null : { ...spot, key: row.id };
    this.#rows.render();
    if (spot !== null && !this.#rows.wide) this.#rows.bring(LISTS.indexOf(spot.list), spot.index);
    if (inside && before !== undefined) this.#rows.view(before)?.node.focus();
  }

  /** px that the view may be higher than was chosen. */
  get #more(): number {
    return this.#rows.width < NARROW ? FOR_THEM : 0;
  }

  /** How high the view is at most, in px. */
  get #most(): number {
    return this.#chosen + this.#more;
  }

  /** Make details under a row no higher than what is in view of the list. */
  #fit(): void {
    const others = this.node.offsetHeight - this.#rows.node.offsetHeight;
    this.#rows.fit(this.#most - others);
  }

  /** Pick one row more or less; the one whose details are open is among them. */
  #pick(row: Row, spot: Spot): void {
    const open = this.#rows.selected === null ? null : this.#rowOf(this.#rows.selected);
    if (this.#picks.rows.size === 0 && open !== null && open.id !== row.id) this.#picks.set([open]);
    this.#picks.toggle(row);
    this.#pickedFrom = spot;
  }

  /** Pick all rows from where a range begins to that one. */
  #pickTo(spot: Spot): void {
    this.#pickedFrom ??= this.#rows.current ?? spot;
    this.#picks.set(this.#rows.between(this.#pickedFrom, spot));
  }

  /** Pick one row more in that direction. */
  #pickOn(command: "up" | "down"): void {
    if (!this.#picks.several) this.#pickedFrom = this.#rows.current && { ...this.#rows.current };
    this.#rows.go(command);
    if (this.#rows.current !== null) this.#pickTo({ ...this.#rows.current });
  }

  #toggle(row: Row): void {
    this.#open(this.#rows.selected?.key === row.id ? null : row);
  }

  #placeDetails(): void {
    const selected = this.#isTimeline ? null : this.#rows.selected;
    const details = this.#details;
    if (this.#looked !== null) {
      this.#looked = this.context.store.find(this.#looked.id) ?? this.#looked;
      details.show(this.#looked);
      details.node.classList.remove("jqw-under");
      if (details.node.parentNode !== this.#body) this.#body.append(details.node);
      css(details.node, "top", "");
      details.update();
      return;
    }
    const row = selected === null ? null : (this.#rowOf(selected) ?? details.row);
    if (selected === null || row === null || (selected.index < 0 && !this.#rows.wide)) {
      details.node.remove();
      return;
    }
    details.show(row);
    details.node.classList.toggle("jqw-under", !this.#rows.wide);
    const parent = this.#rows.wide ? this.#body : this.#rows.node;
    if (details.node.parentNode !== parent) parent.append(details.node);
    const top = this.#rows.wide ? "" : `${this.#rows.bottom(selected)}px`;
    css(details.node, "top", top);
    details.update();
  }

  #rowOf(spot: Current): Row | null {
    const row = this.#lists.row(spot.list, spot.index);
    return row?.id === spot.key ? row : this.context.store.find(spot.key);
  }

  // -- keys -------------------------------------------------------------------------------------

  #key(event: KeyboardEvent): void {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
    const target = event.target as Element;
    if ((takesText(target) && event.key !== "Escape") || target === this.#resources.node) return;
    const onRow = target.classList.contains("jqw-row");
    const inRow = this.#rows.viewOf(target) !== undefined;
    let command = commandOf(event, onRow);
    if (!onRow && inRow && event.key === "ArrowLeft") command = "left";
    if (!onRow && inRow && event.key === "ArrowRight") command = "right";
    if (command === null || (this.#obey(command, target) && command !== "leave")) {
      if (command !== null) event.preventDefault();
      if (command === "undo" || command === "pick-all") event.stopPropagation();
    }
  }

  /** True when the command did something. */
  #obey(command: Command, target: Element): boolean {
    const view = this.#rows.viewOf(target);
    if (command === "undo") return this.context.undo();
    if (command === "pick-all") this.#picks.pickAll();
    else if (command === "pick-up" || command === "pick-down") {
      this.#pickOn(command === "pick-up" ? "up" : "down");
    } else if (command === "hold") this.#hold(view?.row);
    else if (command === "pause") this.context.togglePause();
    else if (command === "filter") this.#filter.input.focus();
    else if (command === "leave") this.#leave(target);
    else if (command === "left") this.#left(view, target);
    else if (command === "right") this.#right(view, target);
    else if (command.startsWith("move-")) this.#reorder(command, view?.row);
    else if (command === "open") {
      if (view?.group !== undefined) this.#lists.toggle(view.group);
      else if (view?.row !== undefined) this.#toggle(view.row);
    } else if (command === "remove" && view instanceof GroupRow) view.line.press();
    else if (command === "remove" || command === "force") this.#stop(command, view?.row);
    else this.#rows.go(command);
    return true;
  }

  /** From a button to its row, from an open group to the closed one, from a job to its group. */
  #left(view: ReturnType<Scroller["viewOf"]>, target: Element): void {
    if (view === undefined) return;
    if (target !== view.node) view.node.focus();
    else if (view.group !== undefined && this.#lists.isOpen(view.group)) {
      this.#lists.toggle(view.group);
    } else {
      const parent = this.#lists.parentOf(view);
      if (parent !== null) this.#rows.goTo(parent);
    }
  }

  #right(view: ReturnType<Scroller["viewOf"]>, target: Element): void {
    const group = target === view?.node ? view.group : undefined;
    if (group !== undefined && !this.#lists.isOpen(group)) this.#lists.toggle(group);
    else view?.focusAct();
  }

  #hold(row: Row | undefined): void {
    if (row?.status !== "pending" || !this.context.enabled) return;
    if (row.held) this.context.release(row);
    else this.context.hold(row);
  }

  #leave(target: Element): void {
    if (this.#picks.several) {
      this.#picks.clear();
      return;
    }
    if (this.#rows.selected !== null) {
      this.#open(null);
      return;
    }
    (target as HTMLElement).blur();
  }

  #stop(command: "remove" | "force", row: Row | undefined): void {
    if (row === undefined || !this.context.enabled) return;
    const view = this.#rows.view(row.id);
    if (view instanceof GroupRow) return;
    if (command === "force" && row.status === "running") this.context.cancel(row, true);
    else if (row.status === "running" && row.cancel_phase === null) view?.button.press();
    else if (row.status === "pending" && !isRemoved(row)) this.context.remove(row);
  }

  #reorder(command: Command, row: Row | undefined): void {
    if (row?.status !== "pending" || !this.context.enabled) return;
    if (command === "move-top") this.context.move(row, { to: "top" });
    else if (command === "move-bottom") this.context.move(row, { to: "bottom" });
    else {
      const up = command === "move-up";
      const other = this.#neighbour(row, up ? -1 : 1);
      if (other !== undefined) this.context.move(row, up ? { before: other } : { after: other });
    }
  }

  /** Find the neighbour among the rows as shown: a move passes what the filter hides. */
  #neighbour = (row: Row, by: number): string | undefined => {
    const spot = this.#lists.find(row.id);
    return spot?.list === "pending" ? this.#lists.row("pending", spot.index + by)?.id : undefined;
  };

  #announce(): void {
    const { store, live } = this.context;
    const fresh = store.history.filter((row) => !this.#ended.has(row.id));
    if (fresh.length === 0) return;
    this.#ended = new Set(store.history.map((row) => row.id));
    for (const row of fresh) {
      if (row.status !== "failed") continue;
      live.say(`${row.title} failed${row.error === null ? "" : `: ${row.error}`}`, true);
    }
    const { counts } = store.summary;
    const left = counts.running + counts.pending;
    live.say(left === 0 ? "All jobs have ended" : `${store.ended} jobs done, ${left} left`);
  }
}

/** It is held until it is cancelled, and has an Undo. */
function isRemoved(row: Row): boolean {
  return row.held && row.hold_then === "cancel";
}
