// What the cell of one job loads: the script that its queue's widget has brought to this page.

import { imported } from "./imported";
import type { Model } from "./protocol";

const TRIES = 40; // after a reload the models of a page come in any order
const PAUSE = 250; // ms between them

type Cleanup = () => void;
type Place = { model: Cell; el: HTMLElement };
type Script = {
  initialize: (place: { model: Cell }) => Cleanup;
  render: (place: Place) => Cleanup;
};
type Cell = Model & {
  widget_manager: { get_model: (id: string) => Promise<{ get: (name: string) => unknown }> };
};

async function textOf(model: Cell): Promise<string> {
  const id = String(model.get("script_of"));
  for (let tries = 1; ; tries += 1) {
    try {
      return String((await model.widget_manager.get_model(id)).get("_esm"));
    } catch (error) {
      if (tries === TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

async function scriptOf(model: Cell): Promise<Script> {
  return (await imported(await textOf(model))) as Script;
}

/** Returns at once: no message reaches a model that takes seconds. */
function initialize({ model }: { model: Cell }): Cleanup {
  const cleanup = scriptOf(model).then((script) => script.initialize({ model }));
  cleanup.catch(() => undefined); // `render` says so
  return () => void cleanup.then((stop) => stop(), () => undefined);
}

async function render(place: Place): Promise<Cleanup> {
  return (await scriptOf(place.model)).render(place);
}

export default { initialize, render };
