// The states of widgets in notebooks that earlier versions have saved: see tests/data/README.md.

import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isPlain, type Plain } from "../../src/protocol";
import { Store } from "../../src/store";

const DATA = join(process.cwd(), "..", "tests", "data"); // npm runs in js/
const STATE = "application/vnd.jupyter.widget-state+json";
const versions = readdirSync(DATA).filter((name) => existsSync(join(DATA, name, "expected.json")));

function read(version: string, name: string): Plain {
  return JSON.parse(readFileSync(join(DATA, version, name), "utf8")) as Plain;
}

function at(value: unknown, ...path: string[]): Plain {
  for (const name of path) value = (value as Plain)[name];
  return value as Plain;
}

/** Whatever is told of a job stands in its row; why it was cancelled may have a place of its own. */
function holds(found: unknown, told: unknown, where: string): void {
  if (Array.isArray(told)) {
    assert.equal((found as unknown[]).length, told.length, where);
    told.forEach((one, index) => holds((found as unknown[])[index], one, `${where}[${index}]`));
  } else if (isPlain(told)) {
    for (const [name, value] of Object.entries(told)) {
      const row = found as Plain;
      const moved = name === "error" && told["status"] === "cancelled" && row["error"] === null;
      holds(row[moved ? "cancel_reason" : name], value, `${where}.${name}`);
    }
  } else {
    assert.equal(found, told, where);
  }
}

test("there are versions to be tested", () => assert.ok(versions.includes("0.1.0")));

for (const version of versions) {
  test(`what ${version} saved with a notebook is read as it was`, () => {
    const told = at(read(version, "expected.json"), "notebook", "states");
    const models = at(read(version, "notebook.ipynb"), "metadata", "widgets", STATE, "state");
    const states = Object.values(models).map((model) => at(model, "state"));
    for (const [view, expected] of Object.entries(told)) {
      const state = states.find((one) => one["view"] === view);
      assert.ok(state, view);
      const store = new Store();
      assert.equal(store.read((name) => state[name]), true);
      const { summary, head, history, job } = store;
      const paused = summary.paused && summary.paused.reason;
      holds({ summary: { ...summary, paused }, head, history, job }, expected, view);
    }
  });
}
