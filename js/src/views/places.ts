// The places of queued jobs and how many are ahead of them, drawn over their rows.

import { css, div, h, setText } from "../ui/dom";

/**
 * When a job starts, all rows move up and none of these texts changes. In the rows each of them
 * would be laid out anew. Screen readers get the position from aria-posinset and aria-label.
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
   * Draw the texts of rows that follow one another, the first of which stands at `top`. "": the row
   * has no place, or says something else. `cut`: how many of these rows stand above open details,
   * which are as high as `gap` rows.
   */
  draw(top: number, places: string[], ahead: string[], cut: number, gap: number): void {
    const digits = Math.max(0, ...places.map((text) => text.trim().length)) || this.#digits;
    if (digits !== this.#digits) {
      this.#digits = digits;
      this.scroller.style.setProperty("--jqw-digits", String(digits));
    }
    for (const column of [places, ahead]) {
      if (cut > 0) column.splice(cut, 0, ...new Array<string>(gap).fill(""));
    }
    css(this.node, "top", `${top}px`);
    setText(this.#lead, places.join("\n"));
    setText(this.#info, ahead.join("\n"));
  }
}
