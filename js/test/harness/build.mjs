// Writes the harness page into a folder: node test/harness/build.mjs FOLDER
import { copyFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { script } from "../../script.mjs";

const out = process.argv[2];
if (out === undefined) throw new Error("name the folder to write to");
const here = new URL(".", import.meta.url);
mkdirSync(out, { recursive: true });
await build({ ...script, outdir: out });
const asShipped = {
  name: "as shipped",
  setup: ({ onResolve }) =>
    onResolve({ filter: /src\/index$/ }, () => ({ path: "./widget.js", external: true })),
};
await build({
  entryPoints: [new URL("page.ts", here).pathname],
  outfile: join(out, "page.js"),
  bundle: true,
  format: "esm",
  target: "es2022",
  plugins: [asShipped],
});
copyFileSync(new URL("index.html", here), join(out, "index.html"));
copyFileSync(new URL("../../../jobqueue_widget/static/widget.css", here), join(out, "widget.css"));
