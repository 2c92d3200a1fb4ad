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
    return { name: `loss ${curve}`, x, y: x.map((at) => Math.sin(at / (20 + 7 * curve))), swatch };
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
  const spent: Record<string, number[]> = { first: [], alone: [], update: [], updateAlone: [] };
  for (let round = 0; round < rounds; round += 1) {
    spent["first"]?.push(await timed(() => ours.set(all, false), () => ours.clear()));
    spent["alone"]?.push(await timed(give, take));
    let shown = all;
    const other = (): Series[] => (shown = shown === all ? fewer : all);
    spent["update"]?.push(await timed(() => ours.set(other(), false), nothing));
    spent["updateAlone"]?.push(await timed(() => plot?.setData(aligned(other())), nothing));
  }
  return Object.fromEntries(Object.entries(spent).map(([name, all]) => [name, median(all)]));
}

Object.assign(window, { measure });
