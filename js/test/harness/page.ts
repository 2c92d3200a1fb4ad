// Scenes for a browser: `start(scene)` fills a kernel and draws its view; tests then drive it.

import axe from "axe-core";
import widget from "../../src/index";
import type { Row } from "../../src/protocol";
import { Kernel, makeRow } from "./kernel";

const ESC = "\u001b";
const now = (): number => Date.now() / 1000;

function everyday(kernel: Kernel): void {
  kernel.running = [
    makeRow("r1", {
      args: "talk_07.mp3", status: "running", started_at: now() - 95, progress: 0.71,
      message: "decoding", news_at: now() - 1,
    }),
    makeRow("r2", {
      title: "train", name: "train", args: "epochs=40, lr=1e-3", status: "running",
      started_at: now() - 300, progress: 0.2, message: "epoch 8", news_at: now() - 14,
    }),
    makeRow("r3", {
      title: "embed", name: "embed", args: "corpus.parquet", status: "running",
      started_at: now() - 4, phase: "starting",
    }),
    makeRow("r4", {
      title: "ocr", name: "ocr", args: "scan_3.pdf", status: "running", started_at: now() - 20,
      progress: 0.4, cancel_phase: "asked", force_at: now() + 2.6,
    }),
  ];
  kernel.pending = [
    makeRow("p1", {
      title: "gemini", name: "gemini", args: "img_12.png", priority: 10,
      block: "needs 4.0 GB GPU, 2.1 free (whisper holds 5.9)",
    }),
    makeRow("p2", { title: "sweep", name: "sweep", args: "lr=1e-3" }),
    makeRow("p3", {
      title: "sweep", name: "sweep", args: "lr=3e-3", held: true, hold_until: now() + 7.4,
      hold_then: "cancel",
    }),
    makeRow("p4", { title: "sweep", name: "sweep", args: "lr=1e-2", held: true }),
    makeRow("p5", { title: "nightly report", name: "report", args: "'2026-11'", priority: -5 }),
  ];
  kernel.history = [
    makeRow("h1", {
      args: "talk_03.mp3", status: "failed", error: "OutOfMemoryError: CUDA out of memory",
      started_at: now() - 300, completed_at: now() - 130,
    }),
    makeRow("h2", {
      args: "talk_02.mp3", status: "completed", started_at: now() - 700, completed_at: now() - 310,
    }),
    makeRow("h3", {
      args: "talk_01.mp3", status: "cancelled", cancel_reason: "cancelled in the widget",
      started_at: now() - 900, completed_at: now() - 710,
    }),
    makeRow("h4", {
      title: "sweep", args: "lr=1e-4", status: "completed", started_at: now() - 1100,
      completed_at: now() - 910, note: "finished before the cancel",
    }),
  ];
  kernel.resources = {
    items: [
      { name: "CPU", used: 9, reserved: 12, unused: 0, total: 16, unit: "cores" },
      { name: "RAM", used: 21, reserved: 0, unused: 0, total: 64, unit: "GB" },
      { name: "GPU", used: 5.9, reserved: 6.5, unused: 1.5, total: 8, unit: "GB" },
    ],
    idle: [{ plugin: "gemini", holds: 1.4, unit: "GB" }],
  };
  kernel.log = `${ESC}[1mloading model${ESC}[0m\n${ESC}[32mok${ESC}[0m in 2.1 s\n` +
    `${ESC}]0;title\u0007decoding 10 %\rdecoding 71 %\n${ESC}[31mwarning:${ESC}[0m slow disk\n` +
    `user said <b>hi</b> and \u202eabc\n`;
  kernel.details["h1"] = {
    frame: { file: "/home/me/run.py", line: 12, name: "whisper", code: "model(batch)" },
    failure: { type: "OutOfMemoryError", message: "CUDA out of memory", exit_code: 1, signal: null },
    traceback: 'Traceback (most recent call last):\n  File "run.py", line 12, in whisper\n' +
      "    model(batch)\nOutOfMemoryError: CUDA out of memory",
  };
  const rows = [["0", "0.0", "Hello"], ["1", "1.4", "you"]];
  const table = { columns: ["", "start", "text"], rows, text: "2 rows x 2 columns" };
  kernel.results["h2"] = { forms: [["table", JSON.stringify(table)]] };
}

function many(kernel: Kernel): void {
  everyday(kernel);
  for (let i = 0; i < 100_000; i += 1) {
    kernel.pending.push(makeRow(`n${i}`, { title: "sweep", name: "sweep", args: `i=${i}` }));
  }
  for (let i = 0; i < 500; i += 1) {
    kernel.history.push(makeRow(`o${i}`, {
      status: i % 7 ? "completed" : "failed", error: i % 7 ? null : "ValueError: no",
      args: `i=${i}`, started_at: now() - 2000 - i, completed_at: now() - 1990 - i,
    }));
  }
}

const FOLDER = "'/mnt/storage/…/2024-interviews/session-012/microphone-left/";

/** Texts of all lengths, up to those that Python sends at most. */
function long(kernel: Kernel): void {
  everyday(kernel);
  const error = "FileNotFoundError: [Errno 2] No such file or directory: '/mnt/…/talk_03.wav'";
  const words = (length: number): string => error.slice(0, length);
  kernel.running.push(
    makeRow("r5", {
      title: "hear", args: `${FOLDER}talk_1.wav'`, status: "running", started_at: now() - 95,
      progress: 0.71, message: words(80), news_at: now() - 1, where: "worker-17 of the cluster",
    }),
    makeRow("r6", {
      title: "hear", args: `${FOLDER}talk_2.wav'`, status: "running", started_at: now() - 95,
      progress: 0.05, message: "of 100", news_at: now() - 1,
    }),
  );
  kernel.running.length = 6;
  for (let i = 0; i < 6; i += 1) {
    kernel.pending.push(makeRow(`q${i}`, { title: "hear", args: `${FOLDER}talk_${i}.wav', lr=0.1` }));
  }
  kernel.pending.push(makeRow("q6", { title: "אימון 12", args: "lr=0.1, שם='שלום 3'", held: true }));
  for (const [i, length] of [5, 12, 20, 30, 45, 60, 80].entries()) {
    const ended = { started_at: now() - 300, completed_at: now() - 130 - i };
    kernel.history.push(
      makeRow(`e${i}`, { title: "f", args: `x=${i}`, status: "failed", error: words(length), ...ended }),
      makeRow(`f${i}`, {
        title: `${words(length)} job`, args: `${FOLDER}talk_${i}.wav'`.slice(-length),
        status: "failed", error: "ValueError", ...ended,
      }),
      makeRow(`g${i}`, {
        title: "f", args: "", status: "completed", note: words(length), ...ended,
      }),
    );
  }
  const path = `${FOLDER.replace("…", "a/".repeat(200))}talk_0.wav'`;
  kernel.details["q0"] = {
    title: "hear", kwargs_text: `${path}, lr=0.1`,
    parameters: [["path", path, true, true], ["lr", "0.1", true, true]],
  };
}

/** Groups at every stage, more of them than there is room for. */
function sweeps(kernel: Kernel): void {
  everyday(kernel);
  kernel.groups = [
    { id: 3, name: "sweep 7", pending: 12, running: 2, completed: 24, failed: 12, retriable: 12,
      done_at: now() + 3_600 },
    { id: 4, name: "a name that is as long as a name of a group may be, which is eighty letters",
      pending: 1_000, completed: 4_961, failed: 1, retriable: 1, more: 120_000 },
    { id: 5, name: "endless", pending: 100, running: 1, completed: 7, cancelled: 3, more: -1 },
    ...[2, 1].map((id) => ({ id, name: `transcribe #${id}`, completed: 40 })),
    { id: 9, name: "gone wrong", failed: 8, retriable: 8 },
    { id: 8, name: "given up", cancelled: 8, completed: 1 },
  ];
}

/** Groups with their jobs, one open and two closed, and jobs in none. */
function tree(kernel: Kernel): void {
  everyday(kernel);
  const job = (id: string, group: number, given: Partial<Row>): Row =>
    makeRow(id, { group, title: "train", name: "train", ...given });
  kernel.running.unshift(
    job("a1", 3, {
      args: "lr=0.001, depth=3", status: "running", started_at: now() - 41, progress: 0.38,
      message: "epoch 9", news_at: now() - 1,
    }),
  );
  kernel.pending.push(job("a3", 3, { args: "lr=0.01, depth=3" }));
  const over = { started_at: now() - 900, completed_at: now() - 120 };
  kernel.history.push(
    job("a2", 3, {
      args: "lr=0.1, depth=3", status: "failed", error: "ValueError: loss is NaN", ...over,
    }),
  );
  for (let i = 0; i < 60; i += 1) {
    kernel.pending.push(job(`b${i}`, 4, { args: `path='talk_${i}.wav'` }));
    kernel.history.push(job(`c${i}`, 5, {
      args: `seed=${i}`, status: i % 6 ? "completed" : "failed",
      error: i % 6 ? null : i % 12 ? "TimeLimitExceeded: 60 s" : "ValueError: no luck", ...over,
    }));
  }
  kernel.groups = [
    { id: 3, name: "sweep 7", pending: 1, running: 1, failed: 1, retriable: 1 },
    { id: 4, name: "transcribe", pending: 60, done_at: now() + 3_600 },
    { id: 5, name: "seeds", completed: 50, failed: 10, retriable: 10 },
  ];
}

/** Somebody comes back to groups: what has ended meanwhile is told. */
function morning(kernel: Kernel): void {
  tree(kernel);
  kernel.away = now() - 30_000;
  kernel.resources["at"] = now();
}

const scenes: Record<string, (kernel: Kernel) => void> = {
  everyday, many, long, sweeps, tree, morning, empty: () => undefined,
};

function start(scene: string, view: "queue" | "job" | "group" = "queue"): Kernel {
  const kernel = new Kernel(view, scene === "many" ? "nightly" : "");
  scenes[scene]?.(kernel);
  kernel.flush();
  const el = document.createElement("div");
  const cleanups = [
    widget.initialize({ model: kernel.model }),
    widget.render({ model: kernel.model, el }), // not in the page yet, as in JupyterLab
  ];
  document.getElementById("cell")?.append(el);
  const beat = setInterval(() => {
    if (!kernel.deaf && !kernel.closed && !kernel.quiet) kernel.flush();
  }, 1000);
  const stop = (): void => {
    clearInterval(beat);
    for (const cleanup of cleanups) cleanup();
  };
  Object.assign(window, { kernel, stop });
  return kernel;
}

Object.assign(window, { start, makeRow, axe });
