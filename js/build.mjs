// Builds src/ into ../jobqueue_widget/static/{widget,cell,plot}.js and widget.css and holds them to their size.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";
import { writeRow } from "./columns.mjs";
import { script } from "./script.mjs";

// The bundle travels in every widget's comm_open, so its size is paid at each display.
const MOST_BYTES = 122 * 1024;
const MOST_GZIPPED = 52 * 1024;
const MOST_OF_PLOT = 20 * 1024; // gzipped: what a page asks for when it draws its first curve
const MOST_IN_A_CELL = 1024; // of the script that each job's own cell brings
const OUT = new URL("../jobqueue_widget/static/", import.meta.url);
const STYLES = new URL("src/styles/", import.meta.url);

async function buildStyles() {
  const names = readdirSync(STYLES).filter((name) => name.endsWith(".css")).sort();
  const text = names.map((name) => readFileSync(new URL(name, STYLES), "utf8")).join("\n");
  const { code } = await esbuild.transform(text, { loader: "css", minify: true, charset: "utf8" });
  writeFileSync(new URL("widget.css", OUT), code);
}

function checkSizes() {
  const parts = ["widget.js", "widget.css"].map((name) => readFileSync(new URL(name, OUT)));
  const [bytes, styles] = parts.map((part) => part.length);
  const gzipped = parts.reduce((sum, part) => sum + gzipSync(part, { level: 9 }).length, 0);
  console.log(`widget.js ${bytes} bytes, widget.css ${styles}, both gzipped ${gzipped}`);
  if (bytes > MOST_BYTES || gzipped > MOST_GZIPPED) {
    throw new Error(`too large: at most ${MOST_BYTES} of script, ${MOST_GZIPPED} gzipped`);
  }
  const plot = gzipSync(readFileSync(new URL("plot.js", OUT)), { level: 9 }).length;
  console.log(`plot.js ${plot} gzipped`);
  if (plot > MOST_OF_PLOT) throw new Error(`plot.js is too large: at most ${MOST_OF_PLOT}`);
  if (readFileSync(new URL("cell.js", OUT)).length > MOST_IN_A_CELL) {
    throw new Error(`cell.js is too large: at most ${MOST_IN_A_CELL} bytes`);
  }
}

writeRow();
await buildStyles();
if (process.argv.includes("--watch")) {
  const context = await esbuild.context({ ...script, minify: false });
  await context.watch();
} else {
  await esbuild.build(script);
  checkSizes();
}
