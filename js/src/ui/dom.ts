// Makes elements. Texts go through textContent and attributes only.

type Attributes = Record<string, string | number | boolean>;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) attr(node, name, value);
  node.append(...children);
  return node;
}

/** A `span` of one of our classes. */
export function span(kind: string, ...children: (Node | string)[]): HTMLSpanElement {
  return h("span", { class: `jqw-${kind}` }, ...children);
}

/** A `div` of one of our classes. */
export function div(kind: string, ...children: (Node | string)[]): HTMLDivElement {
  return h("div", { class: `jqw-${kind}` }, ...children);
}

/** Set an attribute only when it differs: writing costs style and layout. */
export function attr(node: Element, name: string, value: string | number | boolean | null): void {
  if (value === null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

const written = new WeakMap<HTMLElement, Record<string, string>>();

/** Set an inline style only when it differs from what was set here: reading one is slow. */
export function css(
  node: HTMLElement,
  name:
    | "top" | "bottom" | "left" | "height" | "marginTop" | "visibility" | "backgroundImage",
  value: string,
): void {
  let known = written.get(node);
  if (known === undefined) written.set(node, (known = {}));
  if ((known[name] ?? "") !== value) node.style[name] = known[name] = value;
}

/** Set the text of an element that holds nothing else: changing a text node costs least. */
export function setText(node: Element, text: string): void {
  const child = node.firstChild;
  if (text !== "" && child instanceof Text) {
    if (child.data !== text) child.data = text;
  } else if (node.textContent !== text) node.textContent = text;
}

export function show(node: HTMLElement, visible: boolean): void {
  if (node.hidden === visible) node.hidden = !visible;
}

export function button(label: string, name: string, act: () => void, kind = ""): HTMLButtonElement {
  const node = h("button", { type: "button", class: `jqw-button ${kind}`.trim() }, label);
  attr(node, "aria-label", name === label ? null : name);
  node.addEventListener("click", (event) => {
    event.stopPropagation();
    if (node.getAttribute("aria-disabled") !== "true") act();
  });
  return node;
}

/** Show and announce as disabled, but keep focusable: a change never takes the focus away. */
export function enable(node: HTMLElement, enabled: boolean): void {
  attr(node, "aria-disabled", enabled ? null : "true");
}

/** The focused element of the page or the shadow root that `node` is in. */
export function active(node: Node): Element | null {
  return (node.getRootNode() as Document | ShadowRoot).activeElement;
}

/** A part of a picture. */
export function svg(tag: "svg" | "path", attributes: Attributes, ...children: Node[]): SVGElement {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) attr(node, name, value);
  node.append(...children);
  return node;
}

// Shapes differ, not only colours. 16 x 16; "f" is filled, "s" is stroked. The most frequent ones,
// queued and running, are drawn by the style sheet: a picture costs as much as a row's words.
const SHAPES: Record<string, [kind: "f" | "s", path: string][]> = {
  held: [["s", "M5.5 3v10M10.5 3v10"]],
  blocked: [["s", "M4 2.5h8M4 13.5h8M5 2.5c0 5.5 6 5.5 6 11M11 2.5c0 5.5-6 5.5-6 11"]],
  starting: [["s", "M8 2.5a5.5 5.5 0 1 0 5.5 5.5M8 5v3h3"]],
  stopping: [["s", "M5.5 2.5h5l3 3v5l-3 3h-5l-3-3v-5zM6 8h4"]],
  completed: [["s", "M2.5 8.5l3.5 3.5 7.5-8"]],
  failed: [["f", "M8 1.5l6.5 6.5-6.5 6.5L1.5 8z"], ["s", "M8 5v3.4M8 10.2v.8"]],
  cancelled: [["s", "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11zM4.2 11.8l7.6-7.6"]],
  bell: [["s", "M2.5 12h11c-1.3-1.2-1.5-2.5-1.5-5a4 4 0 0 0-8 0c0 2.5-.2 3.8-1.5 5M6.8 14.2h2.4"]],
  waiting: [["s", "M3 8h.1M8 8h.1M13 8h.1"]],
};

export function icon(): HTMLElement {
  return h("span", { class: "jqw-icon", role: "img" });
}

/** Set the icon; `word` is its name for screen readers. */
export function setIcon(node: HTMLElement, name: string, word = name): void {
  attr(node, "aria-label", word);
  const kind = `jqw-icon jqw-is-${name}`;
  if (node.className === kind) return;
  node.className = kind;
  node.replaceChildren();
  const shapes = SHAPES[name];
  if (shapes === undefined) return;
  node.append(svg("svg", { viewBox: "0 0 16 16" }, ...shapes.map(([kind, d]) =>
    svg("path", { d, class: kind === "f" ? "jqw-fill" : "jqw-stroke" }))));
}
