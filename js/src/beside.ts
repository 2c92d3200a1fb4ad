// Keeps the table beside the views as it stands: for a page that comes when there is no view.

import type { Rpc } from "./actions";
import { isPlain, num, text, type Model, type Plain } from "./protocol";

const SETTLED = 1_500; // ms without a change, when nothing runs
const AT_WORK = 30_000; // ms between two tables, while something does

interface Outputs {
  length: number;
  get(at: number): { toJSON(): { data?: Plain } };
  set(at: number, output: Plain): void;
}
interface Cell {
  outputs?: Outputs;
}
interface Notebook {
  model?: { cells?: Iterable<Cell> };
}

/** The part of JupyterLab's and Notebook's page that is used; the build keeps quoted names. */
function notebookOf(model: Model & { widget_manager?: Plain }): Notebook | undefined {
  return model.widget_manager?.["context"] as Notebook | undefined;
}

/** Keep the table of a model for all its views, in one tab; returns what ends that. */
export function keepTable(model: Model, rpc: Rpc): () => void {
  const ending = new AbortController();
  const { signal } = ending;
  let asked = -1;
  let atWork = -Infinity; // when the last table of a queue at work was asked for
  let timer: ReturnType<typeof setTimeout> | undefined;

  const summary = (): Plain => {
    const told = model.get("summary");
    return isPlain(told) ? told : {};
  };
  const epoch = (): string => text(summary()["epoch"]);
  const busy = (): boolean => {
    const { counts } = summary();
    return isPlain(counts) && num(counts["running"]) > 0;
  };

  async function ask(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    asked = num(summary()["rev"]);
    if (busy()) atWork = Date.now();
    const table = await rpc.request("snapshot").catch(() => ({}));
    if (!signal.aborted && epoch() !== "") write(model, epoch(), table);
  }

  function told(): void {
    if (timer !== undefined && busy()) return; // it changes all the time
    clearTimeout(timer);
    timer = undefined;
    if (summary()["rev"] === asked) return;
    const pause = busy() ? Math.max(SETTLED, atWork + AT_WORK - Date.now()) : SETTLED;
    timer = setTimeout(() => void ask(), pause);
  }

  function left(): void {
    if (document.visibilityState === "hidden" && summary()["rev"] !== asked) void ask();
  }

  function begin(): Promise<unknown> {
    model.on("change:summary", told);
    document.addEventListener("visibilitychange", left, { signal });
    told();
    return new Promise((end) => signal.addEventListener("abort", end));
  }

  // Two tabs that wrote would have JupyterLab ask which of them is right.
  const { locks } = navigator;
  if (locks === undefined) void begin();
  else locks.request(epoch(), { signal }, begin).catch(() => undefined);
  return () => {
    ending.abort();
    clearTimeout(timer);
    model.off("change:summary", told);
  };
}

/** Write the table into a page loaded after the cell ran: the kernel knows no output of it. */
function write(model: Model, mark: string, table: Plain): void {
  for (const { outputs } of notebookOf(model)?.model?.cells ?? []) {
    for (let at = 0; at < (outputs?.length ?? 0); at += 1) {
      const output = outputs!.get(at).toJSON();
      const html = output.data?.["text/html"];
      if (typeof html !== "string" || !html.includes(mark) || html === table["text/html"]) continue;
      outputs!.set(at, { ...output, data: { ...output.data, ...table } });
    }
  }
}
