// Curves over one abscissa, drawn with uPlot: zoom by dragging or by buttons, values under the
// pointer, two scales where the values differ much, or one of powers of ten.

import type uPlot from "uplot";
import { attr, div, setText } from "../../ui/dom";
import { ZoomButtons } from "../../ui/zoom";

export interface Series {
  name: string;
  x: number[];
  /** null: a gap. */
  y: (number | null)[];
  /** How far from 0 a value of it is at most. */
  size: number;
  /** An element whose background is the colour of the curve. */
  swatch: HTMLElement;
}

/** A value that is missing because another series has none there is no gap. */
type Cell = number | null | undefined;

export type Library = typeof uPlot;

const LOWEST = 120; // px
const FAR = 20; // how many times larger values are that get a scale of their own
export const DASHES = [[], [], [], [8, 4], [2, 3], [8, 3, 2, 3]];

export class Plot {
  readonly node: HTMLElement;
  /** The buttons beside what is under the pointer. */
  readonly acts: HTMLElement;
  #canvas = div("plot-canvas");
  #hover = div("plot-hover");
  #buttons: ZoomButtons;
  /** What draws; null until it has come. */
  library: Library | null = null;
  #plot: uPlot | null = null;
  #shape = "";
  #names: string[] = [];
  #whole: [number, number] = [0, 1];
  #drawn: Series[] = [];
  #zoomed = false;

  constructor(private abscissa: (x: number, step: number) => string, signal: AbortSignal) {
    this.#buttons = new ZoomButtons((times) => this.#zoom(times), () => this.#zoom(Infinity));
    this.acts = this.#buttons.node;
    attr(this.#canvas, "role", "img");
    this.node = div("plot", this.#canvas, this.#hover);
    signal.addEventListener("abort", () => this.clear());
  }

  /** Forget everything, and let go of what listens. */
  clear(): void {
    this.#plot?.destroy();
    this.#plot = null;
    this.#shape = "";
    this.#zoomed = false;
  }

  set(series: Series[], log: boolean): void {
    const { width, height } = this.#room();
    const Library = this.library;
    if (Library === null || width === 0) return; // not there yet, or not in the page
    this.#names = series.map(({ name }) => name);
    const sides = log ? series.map(() => "y") : sidesOf(series.map(({ size }) => size));
    const { color } = getComputedStyle(this.#hover);
    const looks = series.map(({ swatch }) => getComputedStyle(swatch).backgroundColor);
    const shape = JSON.stringify([this.#names, sides, log, color, looks]);
    if (this.#plot === null || shape !== this.#shape) {
      const kept = this.#plot !== null && this.#zoomed ? this.#span() : null;
      const data = this.#joined(series, log);
      this.clear();
      this.#shape = shape;
      attr(this.#canvas, "aria-label", `Curves of ${this.#names.join(", ") || "nothing"}`);
      this.#plot = new Library(
        this.#options(width, height, series, sides, looks, color, log), data, this.#canvas,
      );
      if (kept !== null) this.#plot.setScale("x", { min: kept[0], max: kept[1] });
      this.#enable();
    } else if (series.some((one, at) => !haveSamePoints(one, this.#drawn[at]))) {
      const kept = this.#span();
      this.#plot.setData(this.#joined(series, log), !this.#zoomed);
      if (this.#zoomed) {
        this.#plot.setScale("x", { min: kept[0], max: kept[1] });
        this.#enable();
      } // else when it has drawn, with the scale that it finds then
    }
    if (this.#plot.width !== width || this.#plot.height !== height) {
      this.#plot.setSize({ width, height });
    }
  }

  #joined(series: Series[], log: boolean): uPlot.AlignedData {
    const data = joined(series, log);
    const [xs] = data;
    this.#whole = [xs[0] ?? 0, xs[xs.length - 1] ?? 1];
    this.#drawn = series;
    return data;
  }

  #room(): { width: number; height: number } {
    const { clientWidth, clientHeight } = this.#canvas;
    return { width: clientWidth, height: Math.max(LOWEST, clientHeight) };
  }

  #span(): [number, number] {
    const { min, max } = this.#plot?.scales["x"] ?? {};
    return [min ?? this.#whole[0], max ?? this.#whole[1]];
  }

  /** Show so many times as much, about the middle. */
  #zoom(times: number): void {
    const [first, last] = this.#whole;
    const [from, to] = this.#span();
    const middle = (from + to) / 2;
    const half = ((to - from) / 2) * times;
    const min = Math.max(first, middle - half);
    const max = Math.min(last, middle + half);
    if (max > min) this.#plot?.setScale("x", { min, max });
  }

  #enable(): void {
    const [first, last] = this.#whole;
    const [from, to] = this.#span();
    this.#zoomed = from > first || to < last;
    this.#buttons.enable(last > first, this.#zoomed);
  }

  #tell(plot: uPlot): void {
    const { idx, idxs } = plot.cursor;
    if (idx === null || idx === undefined) {
      setText(this.#hover, "");
      return;
    }
    const values = this.#names.flatMap((name, at) => {
      const place = idxs?.[at + 1];
      const value = place === null || place === undefined ? null : plot.data[at + 1]?.[place];
      return typeof value === "number" ? [`${name} ${short(value)}`] : [];
    });
    const [from, to] = this.#span();
    const where = this.abscissa(plot.data[0][idx] ?? 0, (to - from) / 100);
    setText(this.#hover, [where, ...values].join(" · "));
  }

  #options(
    width: number, height: number, series: Series[], sides: string[], looks: string[],
    color: string, log: boolean,
  ): uPlot.Options {
    const { fontFamily } = getComputedStyle(this.#hover);
    const axis = {
      stroke: color, font: `11px ${fontFamily}`, ticks: { stroke: color, size: 4, width: 0.5 },
      grid: { stroke: color, width: 0.25 }, gap: 3,
    };
    const value = { ...axis, size: 52, values: (_: uPlot, all: number[]) => all.map(tick) };
    const scale: uPlot.Scale = log ? { distr: 3 } : {};
    return {
      width, height,
      legend: { show: false }, // names would be drawn by it; ours stand in buttons and a table
      cursor: { drag: { x: true, y: false }, points: { size: 7 } },
      scales: { x: { time: false }, y: scale, y2: {} },
      axes: [
        {
          ...axis, size: 26,
          values: (_, all, _axis, _space, step) => all.map((x) => this.abscissa(x, step)),
        },
        { ...value, scale: "y" },
        { ...value, scale: "y2", side: 1, show: sides.includes("y2"), grid: { show: false } },
      ],
      series: [
        {},
        ...series.map((_, at): uPlot.Series => ({
          scale: sides[at] ?? "y", stroke: looks[at] ?? color, width: 1.5,
          dash: DASHES[at % DASHES.length] ?? [],
        })),
      ],
      hooks: {
        setCursor: [(plot) => this.#tell(plot)],
        setScale: [() => this.#enable()],
      },
    };
  }
}

function haveSamePoints(one: Series, other?: Series): boolean {
  return one.x === other?.x && one.y === other.y;
}

/** Values over all abscissas there are. */
export function joined(series: Series[], log: boolean): uPlot.AlignedData {
  const shared = sharedAbscissas(series);
  if (shared !== null) {
    const drawn = (value: number | null): number | null => ((value ?? 0) > 0 ? value : null);
    return [shared, ...series.map(({ y }) => log ? y.map(drawn) : y)];
  }
  const xs = [...new Set(series.flatMap(({ x }) => x))].sort((one, other) => one - other);
  const places = new Map(xs.map((x, at) => [x, at]));
  const columns = series.map(({ x, y }) => {
    const column: Cell[] = new Array(xs.length).fill(undefined);
    x.forEach((at, index) => {
      const value = y[index] ?? null;
      column[places.get(at) as number] = log && value !== null && value <= 0 ? null : value;
    });
    return column;
  });
  return [xs, ...columns] as uPlot.AlignedData;
}

/** The abscissas of all, if they are the same and ascend: as a rule one report has all metrics. */
function sharedAbscissas(series: Series[]): number[] | null {
  const first = series[0]?.x ?? [];
  for (let at = 1; at < first.length; at += 1) {
    if ((first[at] as number) <= (first[at - 1] as number)) return null;
  }
  for (const { x } of series) {
    if (x.length !== first.length) return null;
    for (let at = 0; at < first.length; at += 1) if (x[at] !== first[at]) return null;
  }
  return first;
}

/** The scale of each: the right one where its values are of another size than the first ones. */
export function sidesOf(sizes: number[]): string[] {
  const first = sizes.find((size) => size > 0) ?? 1;
  return sizes.map((size) => size > 0 && (size > first * FAR || size < first / FAR) ? "y2" : "y");
}

export function short(value: number): string {
  return String(+value.toPrecision(5));
}

function tick(value: number | null): string {
  if (value === null) return "";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(0) : short(value);
}
