// Terminal output as lines of styled spans: a subset of SGR; every other sequence is dropped.

export interface Style {
  fg: string; // "" or "0".."7", "8".."15" bright, or "#rrggbb"
  bg: string;
  bold: boolean;
  dim: boolean;
  italic: boolean;
  underline: boolean;
}

export interface Span {
  text: string;
  style: Style;
}

export const PLAIN: Style = {
  fg: "", bg: "", bold: false, dim: false, italic: false, underline: false,
};

const MOST_LINES = 2_000;
const LINE_LIMIT = 10_000;
// CSI, OSC (with its end), other escapes of two characters; what is cut at the end waits.
const SEQUENCE = new RegExp(
  [
    /\x1b\[([0-9;:?<=>]*)[ -/]*([@-~])/,
    /\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)/,
    /\x1b[PX^_][^\x1b]*\x1b\\/,
    /\x1b[^[\]PX^_]/,
  ].map((part) => part.source).join("|"),
  "g",
);
const UNFINISHED = /\x1b(?:\[[0-9;:?<=>]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?)?$/;
const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/g;
// Bidirectional overrides can make text read as something else: shown, not obeyed.
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Text that shows what it contains. */
export function visible(text: string): string {
  return text
    .replace(UNSEEN, "")
    .replace(BIDI, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Takes output piece by piece. `lines` are finished; the last one may still grow. */
export class AnsiLines {
  lines: Span[][] = [[]];
  /** When each line was begun, as told by `time` then; 0: not known. */
  times: number[] = [0];
  time = 0;
  /** Lines dropped at the beginning because there were too many. */
  dropped = 0;
  #style = PLAIN;
  #rest = "";
  #width = 0;
  #rewind = false;

  write(piece: string): void {
    let input = this.#rest + piece;
    this.#rest = "";
    const cut = UNFINISHED.exec(input);
    if (cut !== null && cut[0].length < 4_096) {
      this.#rest = cut[0];
      input = input.slice(0, cut.index);
    }
    let at = 0;
    SEQUENCE.lastIndex = 0;
    for (let found = SEQUENCE.exec(input); found !== null; found = SEQUENCE.exec(input)) {
      this.#plain(input.slice(at, found.index));
      at = found.index + found[0].length;
      if (found[2] === "m") this.#style = sgr(this.#style, found[1] ?? "");
    }
    this.#plain(input.slice(at));
  }

  #plain(text: string): void {
    for (const part of text.split(/(\r?\n|\r)/)) {
      if (part === "\n" || part === "\r\n") this.#newLine();
      else if (part === "\r") this.#rewind = true;
      else if (part !== "") this.#add(visible(part));
    }
  }

  #add(text: string): void {
    const line = this.lines.length - 1;
    if (this.#rewind) {
      // A progress bar that writes over itself: the line begins anew.
      this.lines[line] = [];
      this.#width = 0;
      this.#rewind = false;
    }
    if (this.lines[line]?.length === 0) this.times[line] = this.time;
    if (this.#width >= LINE_LIMIT) return;
    const kept = text.slice(0, LINE_LIMIT - this.#width);
    this.#width += kept.length;
    const cut = this.#width >= LINE_LIMIT ? " …" : "";
    this.lines[line]?.push({ text: kept + cut, style: this.#style });
  }

  #newLine(): void {
    this.#rewind = false;
    this.#width = 0;
    this.lines.push([]);
    this.times.push(this.time);
    if (this.lines.length > MOST_LINES) {
      const surplus = this.lines.length - MOST_LINES;
      this.lines.splice(0, surplus);
      this.times.splice(0, surplus);
      this.dropped += surplus;
    }
  }
}

function sgr(style: Style, codes: string): Style {
  const next = { ...style };
  const list = codes === "" ? [0] : codes.split(/[;:]/).map(Number);
  for (let i = 0; i < list.length; i += 1) {
    const code = list[i] ?? 0;
    if (code === 0) Object.assign(next, PLAIN);
    else if (code === 1) next.bold = true;
    else if (code === 2) next.dim = true;
    else if (code === 3) next.italic = true;
    else if (code === 4) next.underline = true;
    else if (code === 22) next.bold = next.dim = false;
    else if (code === 23) next.italic = false;
    else if (code === 24) next.underline = false;
    else if (code >= 30 && code <= 37) next.fg = String(code - 30);
    else if (code >= 90 && code <= 97) next.fg = String(code - 82);
    else if (code >= 40 && code <= 47) next.bg = String(code - 40);
    else if (code >= 100 && code <= 107) next.bg = String(code - 92);
    else if (code === 39) next.fg = "";
    else if (code === 49) next.bg = "";
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(list, i + 1);
      if (code === 38) next.fg = colour;
      else next.bg = colour;
      i += used;
    }
  }
  return next;
}

function extended(list: number[], at: number): [colour: string, used: number] {
  if (list[at] === 5) return [palette(list[at + 1] ?? 0), 2];
  if (list[at] !== 2) return ["", 0];
  return [hex(list[at + 1] ?? 0, list[at + 2] ?? 0, list[at + 3] ?? 0), 4];
}

function palette(index: number): string {
  if (!(index >= 0 && index <= 255)) return "";
  if (index < 16) return String(Math.floor(index));
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return hex(grey, grey, grey);
  }
  const step = (n: number): number => (n === 0 ? 0 : 55 + n * 40);
  const cube = index - 16;
  return hex(step(Math.floor(cube / 36)), step(Math.floor(cube / 6) % 6), step(cube % 6));
}

function hex(...parts: number[]): string {
  const byte = (n: number): number => Math.max(0, Math.min(255, Math.floor(n) || 0));
  return `#${parts.map((part) => byte(part).toString(16).padStart(2, "0")).join("")}`;
}
