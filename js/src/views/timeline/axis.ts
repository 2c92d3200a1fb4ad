// The axis of a timeline: which span is shown, and where its ticks stand. No DOM.

import { tickText } from "../../ui/time";

/** Epoch seconds of the kernel's clock. */
export interface Span {
  from: number;
  to: number;
}

const STEPS = [
  0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600,
  43_200, 86_400, 172_800, 604_800,
];
export const SHORTEST = 0.1; // seconds that are shown at least
const LETTER = 8; // px of one at most

export interface Tick {
  at: number;
  text: string;
}

/** About `most` ticks, on whole minutes, hours and days of the local clock; `today`: any of now. */
export function ticks({ from, to }: Span, most: number, today = Date.now() / 1000): Tick[] {
  const wanted = (to - from) / Math.max(1, most);
  const last = STEPS.at(-1) as number;
  const step = STEPS.find((one) => one >= wanted) ?? Math.ceil(wanted / last) * last;
  const ahead = -new Date(from * 1000).getTimezoneOffset() * 60; // of the local clock
  const dayOf = (at: number): string => new Date(at * 1000).toDateString();
  const found: Tick[] = [];
  let day = dayOf(from) === dayOf(to) ? dayOf(today) : "";
  for (let at = Math.ceil((from + ahead) / step) * step - ahead; at <= to; at += step) {
    found.push({ at, text: tickText(at, step, dayOf(at) !== day) });
    day = dayOf(at);
  }
  return found;
}

/** Whether the text of a tick ends outside of an axis that is `width` px wide. */
export function isCut(at: number, text: string, span: Span, width: number): boolean {
  return shareOf(at, span) * width + text.length * LETTER > width;
}

/** The span that is so many times as long; what stands at the share `at` of it stays there. */
export function zoomed(span: Span, times: number, at: number, whole: Span): Span {
  const length = span.to - span.from;
  const most = whole.to - whole.from;
  const wanted = Math.min(most, Math.max(SHORTEST, length * times));
  return inside({ from: span.from + (length - wanted) * at, to: 0 }, wanted, whole);
}

/** The span moved by so many of its lengths; inside `whole`. */
export function moved(span: Span, by: number, whole: Span): Span {
  const length = span.to - span.from;
  return inside({ from: span.from + length * by, to: 0 }, length, whole);
}

function inside({ from }: Span, length: number, whole: Span): Span {
  const first = Math.max(whole.from, Math.min(from, whole.to - length));
  return { from: first, to: first + length };
}

/** Where an instant stands in a span, as a share of it. */
export function shareOf(at: number, { from, to }: Span): number {
  return to > from ? (at - from) / (to - from) : 0;
}
