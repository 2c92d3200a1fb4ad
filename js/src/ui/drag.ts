// Reordering queued rows by dragging: a line shows where the row goes; the edges scroll.

import { h, show } from "./dom";

const TYPE = "application/x-jqw-job";
const EDGE = 36; // px at which the list scrolls
const STEP = 12; // px for each event

export interface DragHost {
  scroller: HTMLElement;
  canvas: HTMLElement;
  /** Id of the queued row that an element belongs to. */
  idOf(target: Element): string | null;
  /** Where in the list, for a height within the canvas: a row and which side of it. */
  spotAt(y: number): { id: string; after: boolean; top: number } | null;
  drop(id: string, place: { before: string } | { after: string }): void;
}

export function dragRows(host: DragHost, signal: AbortSignal): void {
  const line = h("div", { class: "jqw-drop", "aria-hidden": "true" });
  show(line, false);
  host.canvas.append(line);
  let dragged: string | null = null;

  const spotOf = (event: DragEvent): ReturnType<DragHost["spotAt"]> =>
    host.spotAt(event.clientY - host.canvas.getBoundingClientRect().top);
  const stop = (): void => {
    dragged = null;
    show(line, false);
  };

  const start = (event: DragEvent): void => {
    const id = event.target instanceof Element ? host.idOf(event.target) : null;
    if (id === null || event.dataTransfer === null) return;
    dragged = id;
    event.dataTransfer.effectAllowed = "move";
    event.dataTransfer.setData(TYPE, id);
    event.stopPropagation(); // the notebook drags cells
  };
  const over = (event: DragEvent): void => {
    if (dragged === null) return; // a row of another queue, or something else
    event.preventDefault();
    event.stopPropagation();
    const box = host.scroller.getBoundingClientRect();
    if (event.clientY < box.top + EDGE) host.scroller.scrollTop -= STEP;
    else if (event.clientY > box.bottom - EDGE) host.scroller.scrollTop += STEP;
    const spot = spotOf(event);
    show(line, spot !== null);
    if (spot !== null) line.style.top = `${spot.top}px`;
  };
  const drop = (event: DragEvent): void => {
    if (dragged === null) return;
    event.preventDefault();
    event.stopPropagation();
    const spot = spotOf(event);
    if (spot !== null && spot.id !== dragged) {
      host.drop(dragged, spot.after ? { after: spot.id } : { before: spot.id });
    }
    stop();
  };
  host.scroller.addEventListener("dragstart", start, { signal });
  host.scroller.addEventListener("dragover", over, { signal });
  host.scroller.addEventListener("drop", drop, { signal });
  host.scroller.addEventListener("dragend", stop, { signal });
}
