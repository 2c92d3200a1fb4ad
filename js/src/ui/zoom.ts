// The buttons of what is zoomed: closer, farther, all of it.

import { button, div, enable } from "./dom";

export class ZoomButtons {
  readonly node = div("plot-acts");
  #in: HTMLButtonElement;
  #out: HTMLButtonElement;
  #all: HTMLButtonElement;

  /** `zoom`: show so many times as much. */
  constructor(zoom: (times: number) => void, showAll: () => void) {
    this.#in = button("+", "Zoom in", () => zoom(0.5));
    this.#out = button("−", "Zoom out", () => zoom(2));
    this.#all = button("All", "Show all", showAll);
    this.node.append(this.#in, this.#out, this.#all);
  }

  /** `closer`: there is something to see closer; `zoomed`: not all is shown. */
  enable(closer: boolean, zoomed: boolean): void {
    enable(this.#in, closer);
    enable(this.#out, zoomed);
    enable(this.#all, zoomed);
  }
}
