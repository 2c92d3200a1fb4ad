// As much of a document as a row needs to be drawn without a browser, and to be told again.

class Text {
  constructor(public data: string) {}

  get told(): string {
    return this.data;
  }
}

class Element {
  readonly style: Record<string, string> = {};
  readonly classList = {
    toggle: (name: string, on: boolean): void => {
      const names = new Set((this.attributes.get("class") ?? "").split(" "));
      if (on) names.add(name);
      else names.delete(name);
      this.attributes.set("class", [...names].join(" "));
    },
  };
  attributes = new Map<string, string>();
  children: (Element | Text)[] = [];
  hidden = false;

  constructor(readonly name: string) {}

  setAttribute(name: string, value: string): void {
    this.attributes.set(name, value);
  }
  getAttribute(name: string): string | null {
    return this.attributes.get(name) ?? null;
  }
  hasAttribute(name: string): boolean {
    return this.attributes.has(name);
  }
  removeAttribute(name: string): void {
    this.attributes.delete(name);
  }
  append(...nodes: (Element | Text | string)[]): void {
    for (const node of nodes) {
      if (node !== "") this.children.push(typeof node === "string" ? new Text(node) : node);
    }
  }
  get firstChild(): Element | Text | null {
    return this.children[0] ?? null;
  }
  get textContent(): string {
    return this.children.map((node) => (node instanceof Text ? node.data : node.textContent)).join("");
  }
  set textContent(text: string) {
    this.children = text === "" ? [] : [new Text(text)];
  }
  addEventListener(): void {}
  focus(): void {}

  /** All that shows, in one order. */
  get told(): string {
    const styles = Object.entries(this.style).filter(([, value]) => value !== "");
    const said = [...this.attributes, ...styles.map(([name, value]) => [`style ${name}`, value])];
    const inside = this.children.map((node) => node.told).join("");
    const words = said.map(([name, value]) => `${name}=${value}`).sort().join("; ");
    return `<${this.name} ${this.hidden ? "hidden " : ""}${words}>${inside}</>`;
  }
}

/** Let `document` make such nodes. */
export function withoutBrowser(): void {
  const createElement = (name: string): Element => new Element(name);
  Object.assign(globalThis, { document: { createElement }, Text });
}

/** What a node and all in it shows. */
export const told = (node: object): string => (node as Element).told;
