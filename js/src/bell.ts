// Tells by a notification of the browser that a queue has ended, or that the first of its jobs has
// failed, while nobody looks at the page. All views and tabs share a widget's bell, and what they
// tell of one change has one tag: the browser shows it once.

import { cleanSummary, type Model, type Summary } from "./protocol";
import { amount } from "./ui/amount";

/** True where the browser may notify, or may be asked to. */
export function canRing(): boolean {
  return "Notification" in globalThis && Notification.permission !== "denied";
}

/** True if it was allowed to. */
export function mayRing(): boolean {
  return canRing() && Notification.permission === "granted";
}

/** Ask the user for leave, if need be. */
export async function askToRing(): Promise<boolean> {
  try {
    return (await Notification.requestPermission()) === "granted";
  } catch {
    return false;
  }
}

/** Ring when it is time, as long as the model lives; returns what ends that. */
export function keepBell(model: Model): () => void {
  let last: Summary | null = null;
  let failed = 0; // when the present batch of jobs began
  let told = false; // that one of them has failed
  const heard = (): void => {
    const now = cleanSummary(model.get("summary"));
    if (now === null || now.epoch === "") return;
    const before = last?.epoch === now.epoch ? last : now;
    last = now;
    if (left(before) === 0 || before === now) [failed, told] = [failures(before), false];
    const over = left(before) > 0 && left(now) === 0;
    const first = !told && failures(now) > failed;
    if (!(over || first)) return;
    told = true;
    if (document.visibilityState !== "hidden" || model.get("bell") !== true || !mayRing()) return;
    ring(now, over ? ended(now) : "a job has failed");
  };
  heard();
  model.on("change:summary", heard);
  return () => model.off("change:summary", heard);
}

/** How many jobs can still run by themselves. */
function left({ counts }: Summary): number {
  return counts.running + counts.pending - counts.held;
}

/** How many have failed, whether they were tried again or not. */
function failures({ counts }: Summary): number {
  return counts.failed + counts.retried;
}

function ended({ counts }: Summary): string {
  const parts = [`${amount(counts.completed)} done`];
  if (counts.failed > 0) parts.push(`${amount(counts.failed)} failed`);
  if (counts.cancelled > 0) parts.push(`${amount(counts.cancelled)} cancelled`);
  return parts.join(", ");
}

function ring(summary: Summary, what: string): void {
  const title = `${summary.name || "Job queue"}: ${what}`;
  try {
    const note = new Notification(title, { tag: `jqw ${summary.epoch} ${summary.rev}` });
    note.onclick = () => {
      globalThis.focus();
      note.close();
    };
  } catch {
    // some browsers of phones let only service workers notify
  }
}
