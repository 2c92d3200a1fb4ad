// Scripts that come as text from the kernel: each is imported once in a page, however many views.

const SCRIPTS = Symbol.for("jobqueue_widget.scripts"); // each cell is a module of its own

async function run(text: string): Promise<unknown> {
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return ((await import(url)) as { default: unknown }).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** What a script exports. */
export function imported(text: string): Promise<unknown> {
  const page = globalThis as { [SCRIPTS]?: Map<string, Promise<unknown>> };
  const scripts = (page[SCRIPTS] ??= new Map());
  const script = scripts.get(text) ?? run(text);
  scripts.set(text, script);
  return script;
}
