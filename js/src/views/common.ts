// The arguments that all jobs of a group have: its rows leave them out.

import type { Row } from "../protocol";
import { argumentsOf } from "./words";

const MOST = 500; // texts of a group that are kept

interface Shared {
  parts: Set<string>;
  /** The job by which they were found first; by one alone nothing is known to be common. */
  first: string;
  several: boolean;
  rests: Map<string, string>; // of texts, without what is common
}

export class Common {
  #groups = new Map<number, Shared>();

  /** Take a job of a group into account; among all jobs of it, not among those that are found. */
  note(row: Row): void {
    const parts = partsOf(row.args);
    const shared = this.#groups.get(row.group);
    if (shared === undefined || (!shared.several && shared.first === row.id)) {
      const begun = { parts: new Set(parts), first: row.id, several: false, rests: new Map() };
      this.#groups.set(row.group, begun);
      return;
    }
    const common = parts.filter((part) => shared.parts.has(part));
    if (shared.several && common.length === shared.parts.size) return;
    shared.parts = new Set(common);
    shared.several = true;
    shared.rests.clear();
  }

  /** What a row says of the arguments of its job. */
  told(row: Row): string {
    const args = argumentsOf(row);
    const shared = row.group > 0 && args !== "" ? this.#groups.get(row.group) : undefined;
    if (!shared?.several || shared.parts.size === 0) return args;
    let rest = shared.rests.get(args);
    if (rest === undefined) {
      if (shared.rests.size >= MOST) shared.rests.clear();
      rest = partsOf(args).filter((part) => !shared.parts.has(part)).map(textOf).join(", ");
      shared.rests.set(args, rest);
    }
    return rest;
  }

  reset(): void {
    this.#groups.clear();
  }
}

/** The arguments in a text, each with its place unless it has a name. */
function partsOf(args: string): string[] {
  const parts: string[] = [];
  let [depth, quote, from] = [0, "", 0];
  const end = (at: number): void => {
    const part = args.slice(from, at);
    parts.push(`${/^\w+=/.test(part) ? "" : parts.length}:${part}`);
    from = at + 2;
  };
  for (let at = 0; at < args.length; at += 1) {
    const letter = args.charAt(at);
    if (quote !== "") {
      if (letter === "\\") at += 1;
      else if (letter === quote) quote = "";
    } else if (letter === "'" || letter === '"') quote = letter;
    else if ("([{".includes(letter)) depth += 1;
    else if (")]}".includes(letter)) depth -= 1;
    else if (letter === "," && depth === 0) end(at);
  }
  if (args !== "") end(args.length);
  return parts;
}

function textOf(part: string): string {
  return part.slice(part.indexOf(":") + 1);
}
