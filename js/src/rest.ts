// When nothing runs and nobody is at any view, asks for outputs that tell how it ended.

import type { Model } from "./protocol";
import type { Context } from "./views/context";

interface Viewer {
  /** Drawn anew, it would lose what somebody is doing there. */
  readonly inUse: boolean;
}

// All views of a page are drawn anew together, and what was asked for outlives them.
const pages = new WeakMap<Model, { viewers: Set<Viewer>; asked: number }>();

export class Rest {
  #page: { viewers: Set<Viewer>; asked: number };
  #seen = -1;

  constructor(
    model: Model,
    private context: Context,
    private viewer: Viewer,
  ) {
    this.#page = pages.get(model) ?? { viewers: new Set(), asked: -1 };
    pages.set(model, this.#page);
    this.#page.viewers.add(viewer);
  }

  /** Once a second, whether or not the view is in sight. */
  tick(): void {
    const { job, summary, busy } = this.context.store;
    const page = this.#page;
    const seen = this.#seen;
    const { rev } = summary;
    this.#seen = rev;
    if (rev !== seen || rev === page.asked) return;
    if (job === null ? busy : job.completed_at === null) return;
    if ([...page.viewers].some((viewer) => viewer.inUse)) return;
    page.asked = rev;
    void this.context.ask("snapshot");
  }

  close(): void {
    this.#page.viewers.delete(this.viewer);
  }
}
