// What our plot costs a page beside uPlot alone, with the same curves, in turn. For `make bench`.

import uPlot from "uplot";
import { DASHES, Plot, type Series } from "../../src/views/details/plot";

const CURVES = 5;
const POINTS = 1_000;
const AT_ONCE = 5; // draws that one reading of the clock covers

type Act = () => void;

function series(points: number): Series[] {
  const x = Array.from({ length: points }, (_, at) => at);
  return Array.from({ length: CURVES }, (_, curve) => {
    const swatch = document.createElement("span");
    swatch.className = `jqw-swatch jqw-curve-${curve}`;
    document.body.append(swatch);
    const y = x.map((at) => Math.sin(at / (20 + 7 * curve)));
    return { name: `loss ${curve}`, x, y, size: 1, swatch };
  });
}

function aligned(all: Series[]): uPlot.AlignedData {
  return [all[0]?.x ?? [], ...all.map(({ y }) => y)];
}

/** Milliseconds of one act, with the drawing that it leaves to a microtask. */
async function timed(act: Act, before: Act): Promise<number> {
  let spent = 0;
  for (let time = 0; time < AT_ONCE; time += 1) {
    before();
    const begin = performance.now();
    act();
    await new Promise<void>((done) => queueMicrotask(() => queueMicrotask(done)));
    spent += performance.now() - begin;
  }
  await new Promise(requestAnimationFrame);
  return spent / AT_ONCE;
}

const nothing: Act = () => undefined;
const median = (all: number[]): number => all.sort((a, b) => a - b)[all.length >> 1] ?? 0;

async function measure(rounds: number): Promise<Record<string, number>> {
  const ours = new Plot((x) => String(x), new AbortController().signal);
  ours.library = uPlot;
  const theirs = document.createElement("div");
  document.body.append(ours.node, theirs);
  ours.node.style.height = theirs.style.height = "200px";
  const all = series(POINTS);
  const fewer = all.map((one) => ({ ...one, x: one.x.slice(0, -1), y: one.y.slice(0, -1) }));
  const options: uPlot.Options = {
    width: (ours.node.firstElementChild as HTMLElement).clientWidth,
    height: 200,
    legend: { show: false },
    scales: { x: { time: false } },
    series: [{}, ...all.map((_, at) => ({ stroke: "#2060c0", width: 1.5, dash: DASHES[at] ?? [] }))],
  };
  let plot: uPlot | null = null;
  const take = (): void => void (plot?.destroy(), plot = null);
  const give = (): void => void (plot = new uPlot(options, aligned(all), theirs));
  let shown = all;
  const other = (): Series[] => (shown = shown === all ? fewer : all);
  const acts: [string, Act, Act][][] = [
    [["first", () => ours.set(all, false), () => ours.clear()], ["alone", give, take]],
    [
      ["update", () => ours.set(other(), false), nothing],
      ["updateAlone", () => plot?.setData(aligned(other())), nothing],
    ],
  ];
  const spent: Record<string, number[]> = {};
  for (let round = 0; round < rounds; round += 1) {
    for (const pair of acts) {
      pair.reverse(); // who comes first pays for what others have left to the next frame
      for (const [name, act, before] of pair) {
        shown = all; // what both show by now: no update is one to the same
        (spent[name] ??= []).push(await timed(act, before));
      }
    }
  }
  return Object.fromEntries(Object.entries(spent).map(([name, all]) => [name, median(all)]));
}

Object.assign(window, { measure });
