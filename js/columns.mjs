// Makes src/row.ts of the columns of a row in ../jobqueue_widget/widget/protocol.json.
import { readFileSync, writeFileSync } from "node:fs";

const SCHEMA = new URL("../jobqueue_widget/widget/protocol.json", import.meta.url);
const OUT = new URL("src/row.ts", import.meta.url);

export const columns = Object.entries(JSON.parse(readFileSync(SCHEMA, "utf8")).row);

function typeOf({ type, enum: known }) {
  if (known) return known.map((one) => JSON.stringify(one)).join(" | ");
  if (type === "array") return "string[]";
  return [type].flat().join(" | ");
}

function checkOf(name, { type, enum: known, default: usual, ...limits }) {
  const value = `value["${name}"]`;
  if (known) {
    const words = known.map((one) => JSON.stringify(one)).join(", ");
    return `oneOf(\n      ${value}, [${words}], ${JSON.stringify(usual)},\n    )`;
  }
  if (type === "array") return `texts(${value}, ${limits.maxItems})`;
  if (type === "boolean") return `${value} === true`;
  if (type === "string") {
    const found = `text(${value}${limits.maxLength ? `, ${limits.maxLength}` : ""})`;
    return usual ? `${found} || ${JSON.stringify(usual)}` : found;
  }
  if (type === "number") {
    const unknown = limits.unknown ?? usual;
    const given = unknown === usual ? value : `${value} ?? ${usual}`;
    const found = `num(${given}${unknown === 0 ? "" : `, ${unknown}`})`;
    return "maximum" in limits ? `Math.min(${limits.maximum}, ${found})` : found;
  }
  return `${type[0] === "string" ? "textOrNull" : "instant"}(${value})`;
}

export function writeRow() {
  const lines = (form) => columns.map(([name, column]) => form(name, column)).join("\n");
  writeFileSync(OUT, `// Made by ../columns.mjs from protocol.json, where columns are added: not to be edited.

import { instant, num, oneOf, text, textOrNull, texts, type Plain } from "./checks";

export interface Row {
${lines((name, column) => `  ${name}: ${typeOf(column)};`)}
}

/** Every column with the right type, whatever was sent. */
export function columnsOf(value: Plain): Row {
  return {
${lines((name, column) => `    ${name}: ${checkOf(name, column)},`)}
  };
}
`);
}
