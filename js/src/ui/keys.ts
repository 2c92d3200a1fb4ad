// Which keys mean what. Keys without Ctrl or Meta never reach the notebook, which has its own.

export type Command =
  | "stay" | "up" | "down" | "page-up" | "page-down" | "first" | "last" | "left" | "right"
  | "move-up" | "move-down" | "move-top" | "move-bottom"
  | "pick-all" | "pick-up" | "pick-down" | "hold"
  | "open" | "remove" | "force" | "undo" | "pause" | "filter" | "leave";

interface Key {
  key: string;
  altKey: boolean;
  ctrlKey: boolean;
  metaKey: boolean;
  shiftKey: boolean;
}

const ALONE: Record<string, Command> = {
  ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right",
  PageUp: "page-up", PageDown: "page-down", Home: "first", End: "last",
  Enter: "open", " ": "open",
  Delete: "remove", p: "pause", h: "hold", "/": "filter", Escape: "leave",
};
const WITH_ALT: Record<string, Command> = {
  ArrowUp: "move-up", ArrowDown: "move-down", Home: "move-top", End: "move-bottom",
};
const WITH_SHIFT: Record<string, Command> = {
  Delete: "force", "/": "filter", ArrowUp: "pick-up", ArrowDown: "pick-down",
};
/** What these do needs a row to do it to. */
const ANYWHERE: readonly Command[] = ["undo", "pause", "filter", "leave"];

/** `onRow`: a row itself has the focus. */
export function commandOf(event: Key, onRow: boolean): Command | null {
  const command = meaning(event);
  return command === null || onRow || ANYWHERE.includes(command) ? command : null;
}

function meaning(event: Key): Command | null {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.ctrlKey || event.metaKey) {
    if (event.altKey || event.shiftKey) return null;
    return key === "z" ? "undo" : key === "a" ? "pick-all" : null;
  }
  if (event.altKey) return WITH_ALT[key] ?? null;
  if (event.shiftKey) return WITH_SHIFT[key] ?? null;
  return ALONE[key] ?? null;
}

/** Some hosts look for their shortcuts before we see the key; they leave a marked target alone. */
export function keepKeys(root: HTMLElement, signal: AbortSignal): void {
  window.addEventListener("keydown", (event) => {
    const at = event.target;
    if (!(at instanceof Element) || !root.contains(at)) return;
    const theirs = (event.ctrlKey || event.metaKey) && meaning(event) === null;
    at.toggleAttribute("data-lm-suppress-shortcuts", !theirs);
  }, { capture: true, signal });
}

/** Is it a field that takes letters and arrows itself? */
export function takesText(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement;
}
