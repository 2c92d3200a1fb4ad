// The pages of a fuzz run in one Node process: a command a line comes in, what follows goes out.

import { createInterface } from "node:readline";
import type { ListName, Plain } from "../../src/protocol";
import { Page, type Act } from "./page";
import { really, settled, time } from "./time";

interface Command {
  do: string;
  now: number;
  page: string;
  view: string;
  views: string[];
  frame: number;
  state: Plain;
  message: { method: string; state: Plain; content: Plain } | null;
  byName: boolean;
  closed: boolean;
  list: ListName;
  first: number;
  last: number;
  act: Act;
}

let pages = new Map<string, Page>();
let sent: { page: string; content: Plain }[] = [];
let errors: string[] = [];
let ids = 0;

/** An element as far as the hidden status line needs one. */
class Element {
  textContent = "";
  getAttribute(): null { return null; }
  setAttribute(): void { this.textContent = ""; }
  append(): void { this.textContent = ""; }
}

function carryOut(command: Command): unknown {
  const page = pages.get(command.page);
  const view = page?.views.get(command.view);
  if (command.do === "reset") {
    pages = new Map();
    ids = 0;
    time.reset();
  } else if (command.do === "open") {
    const post = (content: Plain): void => {
      sent.push({ page: command.page, content: JSON.parse(JSON.stringify(content)) as Plain });
    };
    pages.set(command.page, new Page(command.state, command.views, command.frame, post));
  } else if (command.do === "leave") {
    page?.close();
    pages.delete(command.page);
  } else if (command.message !== null) {
    const { method, state, content } = command.message;
    if (method === "update") page?.update(state, command.byName);
    else page?.emit("msg:custom", content);
  } else if (command.do === "comm" && page !== undefined) {
    page.closed = command.closed;
    if (command.closed) page.emit("comm:close");
  } else if (command.do === "scroll") view?.scroll(command.list, command.first, command.last);
  else if (command.do === "act") return view?.act(command.act) ?? null;
  else if (command.do === "look") return view?.everything() ?? null;
  return null;
}

function seen(): Plain {
  const found: Plain = {};
  for (const page of pages.values()) {
    for (const [key, view] of page.views) {
      if (!view.drawn) continue;
      view.drawn = false;
      found[key] = view.seen();
    }
  }
  return found;
}

function complain(error: unknown): void {
  errors.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
}

process.on("unhandledRejection", complain);
process.on("uncaughtException", complain);
Object.assign(globalThis, {
  document: { createElement: () => new Element(), addEventListener: () => undefined },
});
Object.defineProperty(globalThis, "navigator", { value: {}, configurable: true });
Object.defineProperty(globalThis, "crypto", {
  value: { getRandomValues: (words: Uint32Array) => words.fill((ids += 1)) },
});
const input = createInterface({ input: process.stdin });
time.takeOver();
for await (const line of input) {
  const command = JSON.parse(line) as Command;
  let value: unknown = null;
  let drawn: Plain = {};
  try {
    await time.goTo(command.now);
    value = carryOut(command);
    await settled();
    await time.goTo(command.now);
    await new Promise((resolve) => void really(resolve));
    drawn = seen();
  } catch (error) {
    complain(error);
  }
  const answer = { sent, errors, value, seen: drawn, next: time.next };
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  sent = [];
  errors = [];
}
