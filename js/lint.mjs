// Refuses in src/ what could turn a job's text into markup or code, or bypass the protocol.
import { readFileSync, readdirSync } from "node:fs";

const BANNED = [
  [/\binnerHTML\b|\bouterHTML\b|\binsertAdjacentHTML\b|\bdocument\.write/, "text is never markup"],
  [/\beval\s*\(|\bnew\s+Function\b/, "text is never code"],
  [/\bsave_changes\b|\bmodel\.set\b/, "traits are written by Python only"],
  [/(?<![\w.#])(confirm|alert|prompt)\s*\(/, "some hosts do not show dialogs: ask in place"],
  [/\bdocument\.(querySelector|getElementById)/, "a view may be in a shadow root: search from el"],
  [/\bfetch\s*\(|\bXMLHttpRequest\b|\bWebSocket\b/, "nothing comes from a network"],
  [/https?:\/\/(?!www\.w3\.org\/)|@import|\burl\s*\(/, "nothing comes from a network"],
  [/\bimport\s*\((?!url\))/, "nothing comes from a network; cell.ts loads what the page has"],
  [/\bBroadcastChannel\b|\blocalStorage\b/, "some hosts give each view a page of its own"],
];
const root = new URL("src/", import.meta.url);
const names = readdirSync(root, { recursive: true }).filter((name) => /\.(ts|css)$/.test(name));
let found = 0;
for (const name of names) {
  const lines = readFileSync(new URL(name, root), "utf8").split("\n");
  lines.forEach((line, index) => {
    if (line.length > 100 && name.endsWith(".ts")) report(name, index, "longer than 100 characters");
    for (const [pattern, why] of BANNED) if (pattern.test(line)) report(name, index, why);
  });
}
function report(name, index, why) {
  found += 1;
  console.error(`src/${name}:${index + 1}: ${why}`);
}
process.exit(found ? 1 : 0);
