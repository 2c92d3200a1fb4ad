// Fixed-height rows of long lists: which are in view, where they stand, and how the DOM follows.

/** px of a row and of a header where letters have their usual size. */
export const ROW = 28;
/** The same of a row that has two lines; headers have one. */
export const TWO_LINES = 44;
/** Details under a row are as high as so many rows, fewer where there is no room for them. */
export const GAP_ROWS = 8;
export const LEAST_GAP = 5;
const OVERSCAN = 3;
/** A list that ends this many rows below what is in view may be higher than they need. */
const FAR = 64;
/** Never more rows in the DOM than this, whatever the height of the view. */
export const MOST_ROWS = 56;

export interface Block {
  total: number;
  shown: boolean; // its header is there even without rows
  gapAfter: number; // the row that details stand under, -1 for none
  gap: number; // their height
  spare?: number; // px that are free below its rows, as the layout finds
}

/** Vertical places of three lists that follow each other in one scroller. */
export class Layout {
  readonly tops: number[] = [];
  readonly height: number;

  /** `seen`: px down to which the scroller is in view; `row`, `head`: px of a row, of a header. */
  constructor(readonly blocks: Block[], seen: number, private row = ROW, head = row) {
    let y = 0;
    for (const block of blocks) {
      if (block.shown) y += head;
      this.tops.push(y);
      // Of a new height with each job that ends, the page's layers would be made anew each time.
      const { total } = block;
      const far = total > 0 && y + total * row > seen + FAR * row;
      block.spare = far ? (FAR - (total % FAR)) * row : 0;
      y += this.canvas(block);
    }
    this.height = y;
  }

  canvas(block: Block): number {
    return block.total * this.row + (block.gapAfter >= 0 ? block.gap : 0) + (block.spare ?? 0);
  }

  /** The top of a row within its list, in px. */
  within(block: Block, index: number): number {
    return index * this.row + (block.gapAfter >= 0 && index > block.gapAfter ? block.gap : 0);
  }

  /** The top of a row within the scroller, in px. */
  top(list: number, index: number): number {
    const block = this.blocks[list];
    return block === undefined ? 0 : (this.tops[list] ?? 0) + this.within(block, index);
  }

  /** Rows first ≤ i < last of a list that are in view or near it. */
  range(list: number, scrollTop: number, height: number): [first: number, last: number] {
    const block = this.blocks[list];
    if (block === undefined || block.total === 0) return [0, 0];
    const from = scrollTop - (this.tops[list] ?? 0);
    const first = this.indexAt(block, from) - OVERSCAN;
    const last = this.indexAt(block, from + height) + 1 + OVERSCAN;
    const start = Math.max(0, Math.min(block.total, first));
    const end = Math.max(start, Math.min(block.total, last));
    const margin = OVERSCAN * this.row;
    if (from > this.canvas(block) + margin || from + height < -margin) return [0, 0];
    return [start, Math.min(end, start + MOST_ROWS)];
  }

  indexAt(block: Block, y: number): number {
    const plain = Math.floor(y / this.row);
    if (block.gapAfter < 0 || plain <= block.gapAfter) return plain;
    return Math.max(block.gapAfter, Math.floor((y - block.gap) / this.row));
  }
}

/**
 * Make `parent` contain exactly `nodes`, in order. The one that holds the focus stays where it is
 * and the others move around it: a node that is moved loses its focus.
 */
export function place(parent: Element, nodes: Element[], focused: Element | null): void {
  const wanted = new Set<Element>(nodes);
  for (const node of [...parent.children]) if (!wanted.has(node)) node.remove();
  let cursor = parent.firstElementChild;
  for (const node of nodes) {
    if (node === focused && node.parentNode === parent) {
      while (cursor !== null && cursor !== node) {
        const next: Element | null = cursor.nextElementSibling;
        parent.append(cursor);
        cursor = next;
      }
    }
    if (node === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(node, cursor);
  }
}
