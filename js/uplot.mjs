// Leaves out of uPlot what we never draw: bars, steps, splines and axes of dates. It is a third of it.
import { readFileSync } from "node:fs";

const LEFT_OUT = [
  [/^\t\(paths\.(stepped|bars|spline) += \w+\);\n/gm, "", 3],
  [/^\tuPlot\.(join|fmtDate|tzDate) += \w+;\n/gm, "", 3],
  [/^const \[ timeIncrs.* = genTimeStuffs\(.*\);\n/gm, "", 2],
  [/^\tconst _(tzDate|fmtDate|timeAxisSplits|timeAxisVals|timeSeriesVal) +=.*\n/gm, "", 5],
  [/\bisTime (?=\?|&&)/g, "false ", 6],
];

export const uplot = {
  name: "a part of uPlot",
  setup: ({ onLoad }) =>
    onLoad({ filter: /uPlot\.esm\.js$/ }, ({ path }) => {
      let contents = readFileSync(path, "utf8");
      for (const [pattern, instead, times] of LEFT_OUT) {
        const found = contents.match(pattern)?.length ?? 0;
        if (found !== times) throw new Error(`${pattern} is ${found} times in uPlot, not ${times}`);
        contents = contents.replace(pattern, instead);
      }
      const license = "/*! uPlot, (c) 2025 Leon Sorokin, MIT: see LICENSE.uPlot */\n";
      return { contents: license + contents };
    }),
};
