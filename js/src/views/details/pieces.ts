// What a job has displayed or returned: html in a frame, pictures, trees, tables, text.

import { isPlain, num, text, type Plain, type Row } from "../../protocol";
import { AnsiLines, visible } from "../../ui/ansi";
import { attr, button, div, h } from "../../ui/dom";
import type { Context } from "../context";
import { note } from "./error";
import { dress, frameNode } from "./frame";
import { jsonNode } from "./json";
import { writeSpans } from "./log";

const MOST_PIECES = 50;
const PART = 300_000; // letters of an answer; Python sends 262,144
const FREE = 1_000_000; // letters that are asked for without a pause
const PAUSE = 400; // ms: servers let a megabyte a second through
const LONGEST = 10_000_000;
const KINDS = ["html", "svg", "image", "json", "table", "text"] as const;
type Kind = (typeof KINDS)[number];
const NAMES: Record<Kind, string> = {
  html: "Page", svg: "Drawing", image: "Picture", json: "Tree", table: "Table", text: "Text",
};

interface Form {
  kind: Kind;
  size: number;
  mime: string;
}

interface Piece {
  forms: Form[];
  said: string;
  tooLarge: string[];
  /** The text of the first form, where it came along. */
  body: string | null;
  /** Differs when anything of it does. */
  mark: string;
}

export class Pieces {
  readonly node = div("pieces");
  #job = "";
  #color = "";
  #drawn = new Map<string, HTMLElement>();

  constructor(
    private context: Context,
    private of: "output" | "result",
  ) {}

  /** Frames have colours of their own, which follow the theme. */
  update(): void {
    const { color } = getComputedStyle(this.node);
    if (color === this.#color) return;
    this.#color = color;
    for (const frame of this.node.querySelectorAll("iframe")) dress(frame, this.node);
  }

  /** Fetch and draw what there is; what is drawn already stays as it is. */
  async load(row: Row): Promise<void> {
    if (this.#job !== row.id) {
      this.#job = row.id;
      this.#drawn.clear();
      this.node.replaceChildren(note("Loading…"));
    }
    const op = this.of === "output" ? "outputs" : "result";
    const answer = await this.context.ask(op, { job: row.id });
    if (this.#job !== row.id) return;
    if (answer === null) {
      this.node.replaceChildren(note("It could not be fetched."));
      return;
    }
    const what = this.of === "output" ? "Output" : "Result";
    const before = this.#drawn;
    this.#drawn = new Map();
    const nodes = piecesOf(answer).map((piece, at, all) => {
      const key = `${at} ${piece.mark}`;
      const name = `${what}${all.length > 1 ? ` ${at + 1}` : ""} of ${row.title}`;
      const node = before.get(key) ?? this.#pieceNode(row.id, at, piece, name);
      this.#drawn.set(key, node);
      return node;
    });
    const lost = num(answer["lost"]);
    if (lost > 0) nodes.push(note(`${lost} more ${lost === 1 ? "was" : "were"} not kept.`));
    if (nodes.length === 0) nodes.push(note("Nothing is kept."));
    const shown = [...this.node.children];
    if (nodes.length !== shown.length || nodes.some((node, at) => node !== shown[at])) {
      this.node.replaceChildren(...nodes);
    }
  }

  #pieceNode(job: string, at: number, piece: Piece, name: string): HTMLElement {
    const body = div("piece-body");
    const node = div("piece", body);
    const tabs: HTMLElement[] = [];
    const choose = (index: number): void => {
      const form = piece.forms[index];
      if (form === undefined) return;
      tabs.forEach((tab, place) => attr(tab, "aria-pressed", String(place === index)));
      void this.#fill(body, job, at, piece, form, name);
    };
    if (piece.forms.length > 1) {
      piece.forms.forEach(({ kind }, index) => {
        tabs.push(button(NAMES[kind], `${NAMES[kind]}: ${name}`, () => choose(index)));
      });
      node.prepend(div("piece-forms", ...tabs));
    }
    for (const large of piece.tooLarge) {
      node.append(note(`${large}: too large to be shown here; the Job has it.`));
    }
    choose(0);
    return node;
  }

  async #fill(
    into: HTMLElement, job: string, at: number, piece: Piece, form: Form, name: string,
  ): Promise<void> {
    attr(into, "data-form", form.kind);
    let found = form === piece.forms[0] ? piece.body : null;
    if (found === null) {
      const waits = note("Loading…");
      into.replaceChildren(waits);
      found = await this.#whole({ job, of: this.of, at, form: form.kind }, form.size, (share) => {
        waits.textContent = `Loading… ${Math.floor(share * 100)} %`;
      });
      if (into.dataset["form"] !== form.kind) return; // another one was chosen meanwhile
    }
    into.replaceChildren(found === null
      ? note("It could not be fetched.")
      : formNode(form, found, piece, name, this.node));
  }

  async #whole(a: Plain, size: number, tell: (share: number) => void): Promise<string | null> {
    const parts: string[] = [];
    let next = 0;
    do {
      const answer = await this.context.ask("form", { ...a, from: next });
      if (answer === null || this.#job !== a["job"] || num(answer["size"]) !== size) return null;
      parts.push(text(answer["body"], PART));
      if (num(answer["next"]) <= next && next < size) return null;
      next = num(answer["next"]);
      tell(next / Math.max(1, size));
      if (next >= FREE && next < size) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    } while (next < size && next < LONGEST);
    return parts.join("");
  }
}

function piecesOf(answer: Plain): Piece[] {
  const items = answer["items"];
  const given = Array.isArray(items) ? items.filter(isPlain).slice(0, MOST_PIECES) : [];
  return given.map((item) => {
    const forms = Array.isArray(item["forms"]) ? item["forms"].filter(Array.isArray) : [];
    const large = Array.isArray(item["too_large"]) ? item["too_large"] : [];
    return {
      forms: forms.slice(0, KINDS.length).flatMap(([kind, size, mime]) =>
        KINDS.includes(kind) ? [{ kind, size: num(size), mime: text(mime, 40) }] : []),
      said: text(item["said"], 400),
      tooLarge: large.slice(0, KINDS.length).map((one) => text(one, 80)),
      body: typeof item["body"] === "string" ? text(item["body"], PART) : null,
      mark: JSON.stringify(item["forms"]),
    };
  });
}

function formNode(form: Form, body: string, piece: Piece, name: string, near: Element): Node {
  const { kind, mime } = form;
  const alt = piece.said || name;
  if (kind === "html") return frameNode(body, name, near);
  if (kind === "svg") {
    const src = `data:image/svg+xml;charset=utf-8,${encoded(body)}`;
    return h("img", { class: "jqw-image", src, alt });
  }
  if (kind === "image" && PICTURE.test(mime) && BASE64.test(body)) {
    return h("img", { class: "jqw-image", src: `data:${mime};base64,${body}`, alt });
  }
  const value = kind === "json" || kind === "table" ? parsed(body) : undefined;
  if (kind === "table" && isPlain(value)) return tableNode(value, name);
  if (kind === "json" && value !== undefined) return jsonNode(value);
  return textNode(body, name);
}

const PICTURE = /^image\/(png|jpeg|gif|webp)$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function encoded(svg: string): string {
  try {
    return encodeURIComponent(svg);
  } catch {
    return ""; // half a character
  }
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}

function textNode(body: string, name: string): Node {
  const pre = h("pre", { class: "jqw-pre", "aria-label": name });
  const lines = new AnsiLines();
  lines.write(body);
  writeSpans(pre, lines.lines);
  if (lines.dropped === 0) return pre;
  return div("piece-text", note(`${lines.dropped} lines above are not shown.`), pre);
}

function tableNode(answer: Plain, name: string): Node {
  const columns = Array.isArray(answer["columns"]) ? answer["columns"].slice(0, 60) : [];
  const rows = Array.isArray(answer["rows"]) ? answer["rows"].slice(0, 200) : [];
  const head = h("tr", {}, ...columns.map((label, at) =>
    at === 0 && label === "" ? h("td") : h("th", { scope: "col" }, visible(String(label)))));
  const body = rows.map((row: unknown) => {
    const cells = Array.isArray(row) ? row.slice(0, 60) : [];
    return h("tr", {}, ...cells.map((cell) => h("td", {}, visible(String(cell)))));
  });
  const table = h(
    "table", { class: "jqw-table", "aria-label": name },
    h("thead", {}, head), h("tbody", {}, ...body),
  );
  return h("div", {}, table, note(text(answer["text"], 200)));
}
