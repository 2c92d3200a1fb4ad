// What a row says of a job: icon, words, times and the one act it offers. No DOM.

import type { Row } from "../protocol";
import { secondsLeftOf, type Store } from "../store";
import { amount } from "../ui/amount";
import { ago, elapsed, guess, moment, rough, took } from "../ui/time";

export type Act = "none" | "cancel" | "force" | "remove" | "undo" | "release" | "retry";

export interface Words {
  icon: string;
  state: string; // one word, for who does not see the icon
  info: string;
  ahead: string; // instead, of one that waits for its turn only
  time: string;
  brief: string; // instead of the time, where there is little room; "": the same
  act: Act;
  ready: boolean; // can the act be done now
  bar: boolean;
}

const SILENT_AFTER = 10; // seconds without news of a job that tells news
const FORCE_AFTER = 1.5; // so that a double click on Cancel does not force
const COUNTDOWN = 3;
const RECENT = 3600; // seconds; of an end that is longer ago the clock is told
const LEAST_WAIT = 10; // seconds; of a start that is nearer nothing is said

const PLAIN: Words = {
  icon: "", state: "", info: "", ahead: "", time: "", brief: "", act: "none", ready: true,
  bar: false,
};

export function wordsOf(row: Row, requested: string, store: Store, now: number): Words {
  if (row.status === "pending") return pending(row, requested, now);
  if (row.status === "running") return running(row, requested, store, now);
  return ended(row, requested, now);
}

function pending(row: Row, requested: string, now: number): Words {
  const words: Words = { ...PLAIN, icon: "queued", state: "queued", act: "remove" };
  if (row.held && row.hold_then === "cancel" && row.hold_until !== null) {
    const left = Math.max(0, Math.ceil(row.hold_until - now));
    const info = requested === "release" ? "coming back…" : `removed, undo ${left} s`;
    return { ...words, icon: "held", state: "removed", info, act: "undo", ready: left > 0 };
  }
  if (requested === "remove") return { ...words, icon: "held", info: "removing…", ready: false };
  if (row.held) {
    const rest = row.hold_until === null ? "" : ` for ${rough(row.hold_until - now)}`;
    return { ...words, icon: "held", state: "held", info: `held${rest}`, act: "release" };
  }
  if (requested === "move") words.info = "moving…";
  else if (row.block !== null) Object.assign(words, { icon: "blocked", state: "blocked" });
  const ahead = row.position ?? 0;
  if (row.starts_at !== null && row.block === null && words.info === "") {
    const again = row.attempt > 1 ? "tries again" : "starts";
    const why = row.note === null ? "" : ` · ${row.note}`;
    return { ...words, info: `${again} in ${rough(row.starts_at - now)}${why}` };
  }
  words.info ||= row.block ?? row.note ?? "";
  if (words.info === "") words.ahead = ahead === 0 ? "next" : `${amount(ahead)} ahead`;
  const { start_about: start } = row;
  if (start !== null && row.block === null && start - now >= LEAST_WAIT) {
    words.time = `starts about ${moment(start, now)}`;
    words.brief = `~${moment(start, now)}`;
  }
  return words;
}

function running(row: Row, requested: string, store: Store, now: number): Words {
  const words: Words = {
    ...PLAIN, icon: "running", state: "running", act: "cancel", bar: true,
    info: row.message || (row.note ?? ""),
  };
  const spent = row.started_at === null ? null : now - row.started_at;
  if (spent !== null) words.time = elapsed(spent);
  if (row.cancel_phase !== null) return stopping(row, requested, words, store, now);
  if (requested === "cancel" || requested === "force") {
    return { ...words, icon: "stopping", info: "stop requested…", ready: false };
  }
  if (row.phase !== null) {
    return { ...words, icon: "starting", state: "starting", info: row.phase };
  }
  const tells = knownProgress(row) >= 0 || row.message !== "";
  const quiet = row.news_at === null ? 0 : now - row.news_at;
  if (tells && quiet > SILENT_AFTER) {
    const sign = `last sign of life ${rough(quiet)} ago`;
    words.info = row.message === "" ? sign : `${row.message} · ${sign}`;
    return words;
  }
  const left = secondsLeftOf(row, now);
  if (left !== null && spent !== null) {
    words.brief = `${guess(left)} left`;
    words.time += ` of about ${guess(spent + left)}`;
  }
  return words;
}

/** The arguments that tell jobs apart: of one that has a label they are in its details. */
export function argumentsOf(row: Row): string {
  return row.title === row.name ? row.args : "";
}

/** The progress, or -1 if unknown: a 0 means something only of a job that reports a message. */
export function knownProgress(row: Row): number {
  return row.progress > 0 || row.message !== "" ? row.progress : -1;
}

function stopping(row: Row, requested: string, words: Words, store: Store, now: number): Words {
  const asked = store.askedFor(row, now);
  const base: Words = { ...words, icon: "stopping", state: "stopping" };
  if (row.cancel_phase === "forcing" || requested === "force") {
    return { ...base, info: "ending process", ready: false };
  }
  if (row.note !== null) {
    return { ...base, info: `${row.note} · ${rough(asked)}`, ready: false };
  }
  const left = row.force_at === null ? null : row.force_at - now;
  const soon = left !== null && left <= COUNTDOWN;
  const info = soon
    ? `forcing in ${Math.max(0, Math.ceil(left))} s`
    : `asked to stop… ${Math.floor(asked)} s`;
  if (!row.can_kill) return { ...base, info, ready: false };
  return { ...base, info, act: "force", ready: asked >= FORCE_AFTER };
}

function ended(row: Row, requested: string, now: number): Words {
  const words: Words = { ...PLAIN, icon: row.status, state: row.status };
  const { completed_at: end } = row;
  if (end !== null) {
    const isRecent = now - end < RECENT;
    words.time = isRecent ? ago(now - end) : moment(end, now);
    if (!isRecent) words.brief = moment(end, now, true);
  }
  const duration =
    row.started_at === null || end === null ? "" : `took ${took(end - row.started_at)}`;
  if (row.status === "completed") {
    words.info = row.note === null ? duration : `${row.note} · ${duration}`;
    return words;
  }
  const why = row.error ?? row.cancel_reason ?? row.status;
  words.info = row.note?.startsWith("retried → ") ? `${row.note} · ${why}` : why;
  words.act = "retry";
  return requested === "retry" ? { ...words, info: "queueing again…", ready: false } : words;
}
