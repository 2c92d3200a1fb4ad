// How a job failed: what was raised, the line of the user's own code, then the whole traceback.

import { isPlain, num, text, type Plain, type Row } from "../../protocol";
import { AnsiLines } from "../../ui/ansi";
import { div, h } from "../../ui/dom";
import { copyButton } from "./copy";
import { writeSpans } from "./log";

const LONGEST = 200_000; // letters of a traceback

export function note(sentence: string): HTMLElement {
  return h("p", { class: "jqw-note" }, sentence);
}

export function errorNode(row: Row, answer: Plain | null, most: number): Node {
  if (answer === null) return note(row.error ?? "The kernel does not know this job any more.");
  const said = text(answer["said"], most);
  const failure = answer["failure"];
  const trace = text(answer["traceback"], LONGEST);
  if (!isPlain(failure) && trace === "") return note(said || "No error.");
  const told = isPlain(failure) ? failure : {};
  const heading = [text(told["type"]), text(told["message"], 4_000)].filter(Boolean).join(": ");
  const node = h("div", { class: "jqw-error" }, h("p", { class: "jqw-failure" }, heading));
  const code = told["exit_code"];
  if (typeof code === "number") node.append(note(`Exit code ${num(code)}`));
  if (text(told["signal"]) !== "") node.append(note(`Ended by ${text(told["signal"])}`));
  if (isPlain(answer["frame"])) node.append(frameNode(answer["frame"]));
  if (trace !== "") {
    const pre = preNode("Traceback", trace);
    const head = div("part-head", h("h4", {}, "Traceback"), copyButton("traceback", () => pre));
    node.append(head, pre);
  }
  return node;
}

/** The innermost frame that is no library's: where to look first. */
function frameNode(frame: Plain): Node {
  const file = text(frame["file"], 400);
  const cell = /ipykernel_\d+[/\\]\d+\.py$/.test(file);
  const place = `${cell ? "cell" : file.split(/[/\\]/).at(-1)} line ${num(frame["line"])}`;
  const name = text(frame["name"], 400);
  const where = name === "<module>" ? place : `${place}, in ${name}`;
  const code = preNode("Your code", text(frame["code"], 4_000));
  const head = div("part-head", h("h4", { title: file }, where));
  return div("frame", head, ...(code.textContent === "" ? [] : [code]));
}

/** Text of a fixed width, whose long lines are scrolled to. */
export function preNode(name: string, content: string): HTMLElement {
  const pre = h("pre", { class: "jqw-pre jqw-scrolls", "aria-label": name, tabindex: 0 });
  const lines = new AnsiLines();
  lines.write(content);
  writeSpans(pre, lines.lines);
  return pre;
}
