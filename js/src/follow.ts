// Keeps a view in step with its model: listens, and asks for the whole state when it must. No DOM.

import { instant } from "./checks";
import { cleanPart, isPlain, type Model, type Part } from "./protocol";
import { TRAITS } from "./store";
import type { Context } from "./views/context";

const ASK_AGAIN = 5; // seconds between questions to a silent kernel, at first
const ASK_GAP = 1; // seconds between questions after lost messages
const IDLE_TICKS = 15; // when nothing elapses but "2 min ago"

type Shared = Pick<
  Context,
  | "store" | "rpc" | "pendingActs" | "page" | "ask" | "invalidate" | "trouble" | "unheard"
  | "awaySince"
>;

export class Follower {
  #fresh = true;
  #asleep = false;
  #ticks = 0;
  #askedAt = -Infinity;
  #later: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private model: Model,
    private context: Shared,
    private pushed: (part: Part) => void,
  ) {
    for (const name of TRAITS) model.on(`change:${name}`, this.#listener(name));
    model.on("msg:custom", this.#receive);
    model.on("comm:close", this.#ended);
    model.on("comm_live_update", this.#cut);
    context.store.arrived(model.get("summary"), context.page());
    this.#hello(0);
    context.invalidate();
  }

  /** Bring the store up to date; called before each drawing. */
  read(): void {
    const { store, rpc, pendingActs } = this.context;
    if (this.#fresh) {
      this.#fresh = false;
      if (store.read((name) => this.model.get(name))) pendingActs.clear(); // of another kernel
      rpc.epoch = store.summary.epoch;
    }
    pendingActs.settle(store.summary.rev); // an answer may come after the state that shows its act
  }

  /** Draw anew what elapses; called once a second while somebody looks. */
  tick(): void {
    const { store, rpc } = this.context;
    const now = this.context.page();
    const { trouble, unheard } = this.context;
    const gap = Math.max(ASK_AGAIN, (now - (unheard ?? now)) / 2); // a busy kernel answers them all
    if (store.silent(now) && !rpc.gone && now - this.#askedAt > gap) this.#hello(0);
    this.#ticks += 1;
    const { running, held } = store.summary.counts;
    const lively = running + held > 0 || trouble !== null || unheard !== null || rpc.late;
    if (lively || this.#ticks % IDLE_TICKS === 0) this.context.invalidate();
  }

  /** Fall silent out of the page: JupyterLab replaces outputs without telling the old view. */
  sleep(): void {
    this.#asleep = true;
  }

  /** Follow again, back in the page. */
  wake(): void {
    if (!this.#asleep) return;
    this.#asleep = false;
    this.#told();
  }

  close(): void {
    clearTimeout(this.#later);
    for (const name of TRAITS) this.model.off(`change:${name}`, this.#listener(name));
    this.model.off("msg:custom", this.#receive);
    this.model.off("comm:close", this.#ended);
    this.model.off("comm_live_update", this.#cut);
  }

  /** Ask for the whole state, but not within `gap` seconds of the last time: then a bit later. */
  #hello(gap: number): void {
    if (this.#asleep) return;
    const early = this.#askedAt + gap - this.context.page();
    clearTimeout(this.#later);
    if (early > 0) {
      this.#later = setTimeout(() => this.#hello(0), early * 1000);
      return;
    }
    this.#askedAt = this.context.page();
    this.context.unheard ??= this.#askedAt;
    void this.context.ask("hello").then((answer) => {
      if (answer === null) return;
      this.context.unheard = null;
      this.context.awaySince ??= instant(answer["away"]);
      this.context.invalidate();
    });
  }

  #listener(name: string): () => void {
    return name === "summary" ? this.#told : this.#changed;
  }

  #told = (): void => {
    if (this.#asleep) return;
    const { store, rpc } = this.context;
    const lost = store.arrived(this.model.get("summary"), this.context.page());
    rpc.gone = false;
    this.context.unheard = null;
    if (lost) this.#hello(ASK_GAP);
    this.#changed();
  };

  #changed = (): void => {
    this.#fresh = true;
    this.context.invalidate();
  };

  #receive = (message: unknown): void => {
    const { rpc } = this.context;
    if (rpc.receive(message) || !isPlain(message)) return;
    const mine = message["t"] === "rows" && message["cid"] === rpc.cid;
    const part = mine ? cleanPart(message) : null;
    if (part !== null) this.pushed(part);
  };

  /** Ask for the state when ipywidgets lost or found the kernel: the answer says which. */
  #cut = (): void => this.#hello(ASK_GAP);

  #ended = (): void => {
    this.context.rpc.gone = true;
    this.context.invalidate();
  };
}
