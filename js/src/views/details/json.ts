// JSON as a tree: each level is drawn when it is opened, so many members at a time.

import { visible } from "../../ui/ansi";
import { attr, button, div, h, setText, show, span } from "../../ui/dom";

const AT_A_TIME = 100;
const OPEN_LEVELS = 2;
const SMALL = 30; // members of what is open from the beginning

export function jsonNode(value: unknown): HTMLElement {
  const node = div("json");
  node.append(memberNode("", value, 0));
  return node;
}

function memberNode(name: string, value: unknown, level: number): HTMLElement {
  const key = name === "" ? [] : [span("json-key", visible(name)), ": "];
  if (typeof value !== "object" || value === null) {
    return div("json-member", ...key, h("span", {}, visible(JSON.stringify(value))));
  }
  const isList = Array.isArray(value);
  const members = Object.entries(value as Record<string, unknown>);
  const count = members.length === 1 ? "1 member" : `${members.length} members`;
  const summary = isList ? `[${count}]` : `{${count}}`;
  const below = div("json-below");
  const toggle = button("", "", () => open(below.hidden), "jqw-link jqw-json-toggle");
  let drawn = 0;
  const more = button("", "", () => draw(), "jqw-link");

  function draw(): void {
    more.remove();
    for (const [label, member] of members.slice(drawn, drawn + AT_A_TIME)) {
      below.append(memberNode(label, member, level + 1));
    }
    drawn = Math.min(members.length, drawn + AT_A_TIME);
    setText(more, `${members.length - drawn} more`);
    if (drawn < members.length) below.append(more);
  }

  function open(opened: boolean): void {
    if (opened && drawn === 0) draw();
    show(below, opened);
    attr(toggle, "aria-expanded", String(opened));
    setText(toggle, `${opened ? "▾" : "▸"} ${summary}`);
  }

  open(members.length <= SMALL && level < OPEN_LEVELS);
  return div("json-member", ...key, toggle, below);
}
