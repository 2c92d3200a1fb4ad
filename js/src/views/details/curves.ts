// What a job measures: its curves, live while they are looked at, and a table of their values.

import { num, text, type Plain, type Row } from "../../protocol";
import { attr, button, div, h, setText, show, span } from "../../ui/dom";
import { elapsed } from "../../ui/time";
import { imported } from "../../imported";
import type { Context } from "../context";
import { Plot, short, sidesOf, type Library, type Series } from "./plot";

const MOST = 50; // metrics
const POINTS = 1_100; // of one
const LIVE = 2; // seconds between two looks
const SLOWLY = 5; // where there are many points
const MANY = 300;
const FIRST = 3; // curves that are drawn unasked

interface Metric {
  name: string;
  last: number | null;
  least: number | null;
  greatest: number | null;
  points: number;
  mark: string;
}

interface Drawn {
  mark: string;
  x: number[];
  y: (number | null)[];
}

export class Curves {
  readonly node: HTMLElement;
  #chips = div("plot-chips");
  #log: HTMLButtonElement;
  #isLog = false;
  #plot: Plot;
  #body = h("tbody");
  #job = "";
  #metrics: Metric[] = [];
  #swatches: HTMLElement[] = [];
  #buttons: HTMLButtonElement[] = [];
  /** By name: a choice holds for the next job, too. */
  #chosen = new Map<string, boolean>();
  #known = new Map<number, Drawn>();
  #bySteps = false;
  #lookedAt = 0;
  #busy = false;
  #over = false;

  /** `of`: what the job tells, or what it is seen to use. */
  constructor(private context: Context, private of: "metrics" | "usage" = "metrics") {
    this.#log = button("Log scale", "Log scale", () => {
      this.#isLog = !this.#isLog;
      this.#draw();
    });
    this.#plot = new Plot((x, step) => this.#abscissa(x, step), context.ending.signal);
    const title = of === "usage" ? "Memory and processors" : "Metrics";
    const first = of === "usage" ? "Resource" : "Metric";
    const heads = [first, "Last", "Least", "Greatest"].map((name) =>
      h("th", { scope: "col" }, name));
    const table = h(
      "table", { class: "jqw-table jqw-measured", "aria-label": title },
      h("thead", {}, h("tr", {}, ...heads)), this.#body,
    );
    this.#plot.acts.prepend(this.#log);
    this.#chips.append(this.#plot.acts);
    this.node = div(`curves jqw-of-${of}`, this.#chips, this.#plot.node, table);
  }

  /** Look at what is new, if it is time for that; fit the plot into its room. */
  update(row: Row): void {
    if (row.id !== this.#job) {
      this.#job = row.id;
      this.#metrics = [];
      this.#known.clear();
      this.#plot.clear();
      this.#lookedAt = 0;
      this.#over = false;
      this.#write();
    }
    const now = this.context.page();
    const many = this.#metrics.some(({ points }) => points > MANY);
    const isDue = now - this.#lookedAt > (many ? SLOWLY : LIVE);
    if (isDue && !this.#busy && !this.#over) {
      this.#lookedAt = now;
      this.#over = row.completed_at !== null; // what it said last is asked for once
      void this.#look(row.id);
    } else if (!this.#busy) this.#draw();
  }

  /** It was the last look only if nothing has come since. */
  again(): void {
    this.#over = false;
    this.#lookedAt = 0;
  }

  /** Let go of what a hidden plot holds. */
  rest(): void {
    this.#plot.clear();
  }

  #abscissa(x: number, step: number): string {
    return this.#bySteps ? String(+x.toPrecision(7)) : elapsed(x, step);
  }

  async #look(job: string): Promise<void> {
    this.#busy = true;
    const answer = await this.context.ask("metrics", { job, of: this.of });
    if (answer !== null && this.#job === job) {
      this.#metrics = metricsOf(answer, this.of);
      this.#bySteps = answer["by"] === "step";
      show(this.node, this.#metrics.length > 0);
      this.#write();
      await Promise.all([this.#bring(job), this.#library()]);
    }
    this.#busy = false;
    if (this.#job === job) this.#draw();
  }

  /** Ask for what draws, once: it is large, and most who look at jobs look at no curve. */
  async #library(): Promise<void> {
    if (this.#plot.library !== null) return;
    const answer = await this.context.ask("script", { name: "plot" });
    if (answer === null) return;
    this.#plot.library = await imported(String(answer["text"])).then(
      (found) => found as Library,
      () => (this.context.tell("This page does not let curves be drawn"), null),
    );
  }

  /** Ask for the points of chosen curves that have others by now. */
  async #bring(job: string): Promise<void> {
    const wanted = this.#metrics.map((metric, at) => ({ ...metric, at }))
      .filter(({ at, mark }) => this.#isChosen(at) && this.#known.get(at)?.mark !== mark);
    await Promise.all(wanted.map(async ({ at, mark }) => {
      const answer = await this.context.ask("curve", { job, at, of: this.of });
      if (answer !== null && this.#job === job) this.#known.set(at, { mark, ...curveOf(answer) });
    }));
  }

  #isChosen(at: number): boolean {
    const metric = this.#metrics[at];
    if (metric === undefined) return false;
    const chosen = this.#chosen.get(metric.name);
    if (chosen !== undefined) return chosen;
    const sizes = this.#metrics.slice(0, FIRST).map(sizeOf);
    return at < FIRST && sidesOf(sizes)[at] === "y"; // of one size with the first
  }

  #choose(at: number): void {
    const metric = this.#metrics[at];
    if (metric === undefined) return;
    this.#chosen.set(metric.name, !this.#isChosen(at));
    this.#write();
    this.#draw();
    const job = this.#job;
    void this.#bring(job).then(() => {
      if (this.#job === job) this.#draw();
    });
  }

  /** Write names and values. */
  #write(): void {
    while (this.#buttons.length < this.#metrics.length) this.#addMetric(this.#buttons.length);
    this.#buttons.forEach((chip, at) => {
      const metric = this.#metrics[at];
      const row = this.#body.children[at] as HTMLTableRowElement;
      show(chip, metric !== undefined);
      show(row, metric !== undefined);
      if (metric === undefined) return;
      setText(chip.lastElementChild as Element, metric.name);
      attr(chip, "aria-pressed", String(this.#isChosen(at)));
      const cells = [metric.name, ...[metric.last, metric.least, metric.greatest].map(worded)];
      cells.forEach((value, place) => setText(row.children[place] as Element, value));
    });
  }

  #addMetric(at: number): void {
    const swatch = span(`swatch jqw-curve-${at % 6}`);
    const chip = button("", "", () => this.#choose(at), "jqw-metric");
    chip.removeAttribute("aria-label");
    chip.replaceChildren(swatch, span("metric-name"));
    this.#swatches.push(swatch);
    this.#buttons.push(chip);
    this.#chips.append(chip);
    this.#body.append(h("tr", {}, h("th", { scope: "row" }), h("td"), h("td"), h("td")));
  }

  #draw(): void {
    attr(this.#log, "aria-pressed", String(this.#isLog));
    const series = this.#metrics.flatMap((metric, at): Series[] => {
      const known = this.#known.get(at);
      const swatch = this.#swatches[at];
      if (known === undefined || swatch === undefined || !this.#isChosen(at)) return [];
      return [{ name: metric.name, swatch, size: sizeOf(metric), x: known.x, y: known.y }];
    });
    this.#plot.set(series, this.#isLog);
  }
}

function worded(value: number | null): string {
  return value === null ? "–" : short(value);
}

function sizeOf({ least, greatest }: Metric): number {
  return Math.max(Math.abs(least ?? 0), Math.abs(greatest ?? 0));
}

function finite(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

const RESOURCES: Record<string, string> = {
  ram_mib: "RAM (MiB)", cpus: "Processors", gpu_mib: "GPU memory (MiB)",
};

function metricsOf(answer: Plain, of: string): Metric[] {
  const items = answer["series"];
  const given = Array.isArray(items) ? items.filter(Array.isArray).slice(0, MOST) : [];
  return given.map(([name, last, least, greatest, points, mark]) => ({
    name: (of === "usage" && RESOURCES[String(name)]) || text(name, 400),
    last: finite(last), least: finite(least), greatest: finite(greatest),
    points: num(points), mark: text(mark, 80),
  }));
}

function curveOf(answer: Plain): { x: number[]; y: (number | null)[] } {
  const list = (name: string): unknown[] => {
    const found = answer[name];
    return Array.isArray(found) ? found.slice(0, POINTS) : [];
  };
  const ys = list("y");
  const x: number[] = [];
  const y: (number | null)[] = [];
  list("x").forEach((at, index) => {
    if (finite(at) === null) return;
    x.push(at as number);
    y.push(finite(ys[index]));
  });
  return { x, y };
}
