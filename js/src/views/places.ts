// The places of queued jobs and how many are ahead of them, drawn over their rows.

import { css, div, h, setText } from "../ui/dom";
import { GAP_ROWS } from "../ui/list";

/**
 * When a job starts, all rows move up and none of these texts changes. In the rows each of them
 * would be laid out anew. Screen readers get the position from aria-rowindex and aria-label.
 */
export class Places {
  #lead = div("lead");
  #info = div("info jqw-next");
  /** Laid out as a row, so that the texts stand in its columns. */
  readonly node = h(
    "div", { class: "jqw-row jqw-places", "aria-hidden": "true" },
    this.#lead, div("what"), this.#info, div("time"), div("act"),
  );
  #digits = 0;

  constructor(private scroller: HTMLElement) {}

  /**
   * Draw the texts of the rows from `first` on, which stands at `top`. `ahead`: "" where a row says
   * something else. `cut`: how many of these rows stand above open details.
   */
  draw(top: number, first: number, ahead: string[], cut: number): void {
    const places = ahead.map((_, index) => String(first + index + 1));
    const digits = places.at(-1)?.length ?? this.#digits;
    if (digits !== this.#digits) {
      this.#digits = digits;
      this.scroller.style.setProperty("--jqw-digits", String(digits));
    }
    for (const column of [places, ahead]) {
      if (cut > 0) column.splice(cut, 0, ...new Array<string>(GAP_ROWS).fill(""));
    }
    css(this.node, "top", `${top}px`);
    setText(this.#lead, places.join("\n"));
    setText(this.#info, ahead.join("\n"));
  }
}
