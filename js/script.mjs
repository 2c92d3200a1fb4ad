// How src/ becomes the script that ships; the harness page runs the same.
import { columns } from "./columns.mjs";
import { uplot } from "./uplot.mjs";

// Long names of our own that get short ones. None is a member of a DOM object or a key that is sent:
// what comes from the kernel is read by quoted names, which stay, and the compiler insists on them.
const OURS = [
  ...columns.map(([name]) => name).filter((name) => name.includes("_")),
  "cancelGroup", "chooseGroup", "done_at", "retriable", "retryGroup",
  "act", "actedAt", "againAt", "answered", "arrived", "asked", "askedFor", "atEnd", "blocks",
  "bring", "busy", "canUnload", "canvas", "choose", "context", "covered", "covers", "dim", "drawn",
  "dropped", "enabled", "ended", "focusFilter", "follow", "gapAfter", "heardAt", "hide", "idOf",
  "indexAt", "invalidate", "jobs", "kernelTime", "late", "lines", "node", "pendingActs",
  "pointerBusy", "pointerLeft", "pointerMoved", "press", "readOn", "receive", "refresh", "resized",
  "row", "scroller", "secondsLeft", "sentAt", "settle", "shown", "sleep", "spotAt",
  "still", "store", "summary", "tick", "togglePause", "total", "trouble", "troubleText", "unheard",
  "update", "viewOf", "wake", "within",
];

export const script = {
  entryPoints: {
    widget: new URL("src/index.ts", import.meta.url).pathname,
    cell: new URL("src/cell.ts", import.meta.url).pathname,
    plot: new URL("src/plot.ts", import.meta.url).pathname,
  },
  outdir: new URL("../jobqueue_widget/static/", import.meta.url).pathname,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  mangleProps: new RegExp(`^(${OURS.join("|")})$`),
  charset: "utf8",
  legalComments: "eof",
  plugins: [uplot],
};
