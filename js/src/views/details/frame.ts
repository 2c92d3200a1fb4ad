// Shows html of a job in a frame without any right: no script, no request, no navigation.

import { h } from "../../ui/dom";

/** The first element of each document: nothing but pictures and styles that are in it. */
const POLICY = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; ' +
  "img-src data:; style-src 'unsafe-inline'; font-src data:\">";

function quoted(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/"/g, "&quot;");
}

/**
 * A frame in a frame: a link in the inner one would lead that away, which the policy of the outer
 * one forbids. `sandbox` forbids scripts, forms, windows, and to move the page itself.
 */
export function frameNode(html: string, name: string, near: Element): HTMLIFrameElement {
  const node = h("iframe", { class: "jqw-frame-of-html", sandbox: "", title: name });
  shown.set(node, html);
  dress(node, near);
  return node;
}

const shown = new WeakMap<HTMLIFrameElement, string>(); // the html of each

/** Give a frame the colours of what it stands in, which may be others by now. */
export function dress(node: HTMLIFrameElement, near: Element): void {
  const html = shown.get(node) ?? "";
  const name = node.title;
  const { color, colorScheme, fontFamily, fontSize } = getComputedStyle(near);
  const scheme = /dark/.test(colorScheme) ? "dark" : "light";
  const looks = `:root{color-scheme:${scheme}}body{margin:6px 10px;color:${color};` +
    `font:${fontSize} ${fontFamily.replace(/[<>{};]/g, "")}}table{border-collapse:collapse}` +
    "th,td{padding:2px 8px;text-align:right}";
  const inner = `${POLICY}<style>${looks}</style>${html}`;
  const fill = `:root{color-scheme:${scheme}}html,body{height:100%;margin:0;overflow:hidden}` +
    "iframe{width:100%;height:100%;border:0;display:block}";
  const outer = `${POLICY}<style>${fill}</style>` +
    `<iframe sandbox="" title="${quoted(name)}" srcdoc="${quoted(inner)}"></iframe>`;
  node.style.colorScheme = scheme; // else it would have a ground of its own
  node.setAttribute("srcdoc", outer);
}
