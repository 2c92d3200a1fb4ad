// How src/ becomes the script that ships; the harness page runs the same.

// Long names of our own that get short ones. None is a member of a DOM object or a key that is sent:
// what comes from the kernel is read by quoted names, which stay, and the compiler insists on them.
const OURS = [
  "can_kill", "cancel_note", "cancel_phase", "completed_at", "created_at",
  "finished_before_cancel", "force_at", "hold_then", "hold_until", "max_running", "news_at",
  "retry_of", "started_at",
  "act", "againAt", "answered", "arrived", "askedFor", "atEnd", "bring", "canUnload", "canvas",
  "context", "covered", "covers", "enabled", "ended", "focusFilter", "follow", "gapAfter",
  "heardAt", "idOf", "indexAt", "inUse", "invalidate", "kernelTime", "marks", "node", "pointerBusy",
  "pointerLeft", "pointerMoved", "readOn", "receive", "refresh", "remark", "resized", "row",
  "secondsLeft", "secondsUntil", "sentAt", "settle", "spotAt", "store", "summary", "togglePause",
  "total", "trouble", "troubleText", "unheard", "update", "viewOf", "within",
];

export const script = {
  entryPoints: [new URL("src/index.ts", import.meta.url).pathname],
  outfile: new URL("../jobqueue_widget/static/widget.js", import.meta.url).pathname,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  mangleProps: new RegExp(`^(${OURS.join("|")})$`),
  charset: "utf8",
  legalComments: "eof",
};
