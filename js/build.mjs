// Builds src/ into ../jobqueue_widget/static/widget.{js,css} and holds them to their size.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import * as esbuild from "esbuild";

// The bundle travels in every widget's comm_open, so its size is paid at each display.
const MOST_BYTES = 60 * 1024;
const MOST_GZIPPED = 25 * 1024;
const OUT = new URL("../jobqueue_widget/static/", import.meta.url);
const STYLES = new URL("src/styles/", import.meta.url);

// Long names of our own that get short ones. None is a member of a DOM object or a key that is sent:
// what comes from the kernel is read by quoted names, which stay, and the compiler insists on them.
const OURS = [
  "can_kill", "cancel_note", "cancel_phase", "completed_at", "created_at",
  "finished_before_cancel", "force_at", "hold_then", "hold_until", "max_running", "news_at",
  "retry_of", "started_at",
  "act", "againAt", "answered", "arrived", "askedFor", "atEnd", "bring", "canUnload", "canvas",
  "context", "covered", "covers", "enabled", "ended", "epoch", "focusFilter", "follow", "gapAfter",
  "heardAt", "idOf", "indexAt", "inUse", "invalidate", "kernelTime", "marks", "node", "pointerBusy",
  "pointerLeft", "pointerMoved", "readOn", "receive", "refresh", "remark", "resized", "row",
  "secondsLeft", "secondsUntil", "sentAt", "settle", "spotAt", "store", "summary", "togglePause",
  "total", "trouble", "troubleText", "unheard", "update", "viewOf", "within",
];

const script = {
  entryPoints: [new URL("src/index.ts", import.meta.url).pathname],
  outfile: new URL("widget.js", OUT).pathname,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  mangleProps: new RegExp(`^(${OURS.join("|")})$`),
  charset: "utf8",
  legalComments: "eof",
};

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
}

await buildStyles();
if (process.argv.includes("--watch")) {
  const context = await esbuild.context({ ...script, minify: false });
  await context.watch();
} else {
  await esbuild.build(script);
  checkSizes();
}
