// Buttons that copy what stands beside them.

import { button, setText } from "../../ui/dom";

/** A button that copies a text, or selects it where a page may not write to the clipboard. */
export function copyButton(
  what: string, shown: () => HTMLElement, text = () => shown().textContent ?? "",
): HTMLButtonElement {
  const node = button("Copy", `Copy ${what}`, () => {
    const written = navigator.clipboard?.writeText(text()) ?? Promise.reject();
    written.then(
      () => {
        setText(node, "Copied");
        setTimeout(() => setText(node, "Copy"), 1_500);
      },
      () => getSelection()?.selectAllChildren(shown()),
    );
  });
  return node;
}
