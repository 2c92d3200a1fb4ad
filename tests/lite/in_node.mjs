// Holds the claims in the browser's Python: `node in_node.mjs PYODIDE WHEEL…` prints, as JSON, how
// each has failed ("" if it holds).
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const [folder, ...wheels] = process.argv.slice(2);
const claims = join(dirname(fileURLToPath(import.meta.url)), "claims.py");
const read = (path) => new Uint8Array(readFileSync(path));

try {
  const { loadPyodide } = await import(pathToFileURL(join(folder, "pyodide.mjs")));
  const python = await loadPyodide({ stdout: () => {}, stderr: (text) => console.error(text) });
  for (const wheel of wheels) python.unpackArchive(read(wheel), "wheel");
  python.FS.writeFile("claims.py", read(claims));
  const told = await python.runPythonAsync(`
import json, sys
sys.path.insert(0, "")
import claims
failures = {name: await claims.hold(name) for name in claims.CLAIMS}

from importlib.metadata import distribution, requires
from packaging.requirements import Requirement
missing = []
for line in requires("jobqueue_widget"):
    wanted = Requirement(line)
    if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
        if not wanted.specifier.contains(distribution(wanted.name).version):
            missing.append(line)
failures["what_the_wheel_requires_is_there"] = ", ".join(missing)
json.dumps(failures)
`);
  process.stdout.write(told, () => process.exit(0)); // timers that are left would keep it
} catch (error) {
  console.error(error.message); // not all of its source, which is one line
  process.exit(1);
}
