// What is not as usual: kernel gone or busy, not updating, paused, not started. Else absent.

import { div, setText, show } from "../ui/dom";
import { clock, rough } from "../ui/time";
import type { Context } from "./context";

const LAG_SHOWN = 1; // seconds
const UNHEARD_AFTER = 5; // seconds

export class Banner {
  readonly node = div("banner");
  #lines: HTMLElement[] = [];

  constructor(private context: Context) {}

  update(): void {
    const told = this.#sentences();
    show(this.node, told.length > 0);
    while (this.#lines.length < told.length) {
      const line = div("banner-line");
      this.#lines.push(line);
      this.node.append(line);
    }
    this.#lines.forEach((line, index) => {
      const [kind, text] = told[index] ?? ["", ""];
      show(line, text !== "");
      setText(line, text);
      line.dataset["kind"] = kind;
    });
  }

  #sentences(): [kind: string, text: string][] {
    const { context } = this;
    const { store, rpc } = context;
    const { summary } = store;
    const told: [string, string][] = [];
    const page = context.page();
    const heard = store.heardAt;
    const at = clock(summary.t || page);
    const alone = summary.alone === "" ? "" : `. ${summary.alone}`;
    if (rpc.gone) return [["gone", `Kernel gone ${at} — last known state${alone}`]];
    if (context.unheard !== null && page - context.unheard > UNHEARD_AFTER) {
      told.push(["busy", `No answer since ${at}: ${SILENCE}`]);
    } else if (rpc.late) {
      told.push(["busy", BUSY]);
    } else if (store.silent(page) && heard !== null) {
      told.push(["busy", `Not updating for ${rough(page - heard)}: ${SILENCE}`]);
    } else if (summary.lag > LAG_SHOWN) {
      told.push(["busy", `The event loop has not answered for ${rough(summary.lag)}`]);
    }
    if (summary.paused !== null && summary.phase !== "closed") {
      const { reason, since } = summary.paused;
      const said = reason === "" ? "" : `: ${reason}`;
      const when = since > 0 ? ` since ${clock(since)}` : "";
      const rest = summary.counts.running ? " Running jobs go on; none is started." : "";
      told.push(["paused", `Paused${when}${said}.${rest}`]);
    }
    const words = PHASES[summary.phase];
    if (words !== undefined) told.push(["phase", words]);
    if (summary.note !== "") told.push(["note", summary.note]);
    const trouble = context.troubleText();
    if (trouble !== "") told.push(["trouble", trouble]);
    return told;
  }
}

const SILENCE = "the kernel or its connection is busy or gone";
const BUSY = "Kernel is busy; your request is sent and will be handled when the cell yields";
const PHASES: Record<string, string> = {
  "not started": "Not started: jobs are queued, none is run yet",
  stopping: "Stopping: no further job is started",
  stopped: "Stopped: no job is run",
  closed: "Closed",
};
