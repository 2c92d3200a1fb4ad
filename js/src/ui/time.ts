// Seconds and instants as short texts.

const clockFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "short", hourCycle: "h23" });
const dayFormat = new Intl.DateTimeFormat(undefined, {
  dateStyle: "medium", timeStyle: "medium", hourCycle: "h23",
});

const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" } as const;
const momentFormats = new Map<string, Intl.DateTimeFormat>();

/** "4 s", "3 min", "2 h 05 min", "3 d": for what is roughly known. */
export function rough(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.round(s / 60)} min`;
  if (s < 86_400) {
    const minutes = Math.round(s / 60);
    return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  }
  return `${Math.round(s / 86_400)} d`;
}

/** "0:07", "12:31", "1:02:03": for what runs; "0:07.5" where `step` is less than a second. */
export function elapsed(seconds: number, step = 1): string {
  const digits = Math.min(3, Math.max(0, Math.ceil(-Math.log10(step))));
  const parts = Math.max(0, Math.floor(seconds * 10 ** digits + 1e-6));
  const s = Math.floor(parts / 10 ** digits);
  const part = digits > 0 ? `.${String(parts).slice(-digits).padStart(digits, "0")}` : "";
  const two = (n: number): string => String(n).padStart(2, "0");
  const hours = s >= 3600 ? `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}` : "";
  return `${hours || Math.floor(s / 60)}:${two(s % 60)}${part}`;
}

/** "1.2 s", "45 s", "3 min": how long something took. */
export function took(seconds: number): string {
  if (seconds < 0.0095) return "<0.01 s";
  if (seconds < 1) return `${seconds.toFixed(2)} s`;
  return seconds < 10 ? `${seconds.toFixed(1)} s` : rough(seconds);
}

export function ago(seconds: number): string {
  return seconds < 5 ? "just now" : `${rough(seconds)} ago`;
}

/** "14:31", of epoch seconds; with its date, unless that is today's. */
export function clock(epochSeconds: number): string {
  const at = new Date(epochSeconds * 1000);
  return (at.toDateString() === new Date().toDateString() ? clockFormat : dayFormat).format(at);
}

const secondFormat = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hourCycle: "h23" });
const dateFormat = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** What stands at the tick of an axis whose ticks are so many seconds apart; `first` of its day. */
export function tickText(epochSeconds: number, step: number, first: boolean): string {
  const at = new Date(epochSeconds * 1000);
  if (step >= 86_400) return dateFormat.format(at);
  const tenths = Math.round(epochSeconds * 10);
  const second = step < 60 ? secondFormat.format(new Date(Math.floor(tenths / 10) * 1000)) : "";
  const time = second === "" ? clockFormat.format(at)
    : step < 1 ? `${second}.${tenths % 10}` : second;
  return first ? `${dateFormat.format(at)} ${time}` : time;
}

/** "14:31", of epoch seconds; "29 Nov, 22:37" or, `brief`, "29 Nov" of another day than `now`. */
export function moment(epochSeconds: number, now: number, brief = false): string {
  const at = new Date(epochSeconds * 1000);
  const today = new Date(now * 1000);
  if (at.toDateString() === today.toDateString()) return clockFormat.format(at);
  const isOld = at.getFullYear() !== today.getFullYear();
  const kind = `${isOld} ${brief}`;
  let format = momentFormats.get(kind);
  if (format === undefined) {
    const year = isOld ? "numeric" : undefined;
    const clock = brief ? {} : CLOCK;
    format = new Intl.DateTimeFormat(undefined, { year, month: "short", day: "numeric", ...clock });
    momentFormats.set(kind, format);
  }
  return format.format(at);
}

export function day(epochSeconds: number): string {
  return dayFormat.format(epochSeconds * 1000);
}

/** "12 min": a guess, so never finer than it can be. */
export function guess(seconds: number): string {
  if (seconds < 55) return `${Math.max(10, Math.ceil(seconds / 10) * 10)} s`;
  return rough(Math.max(60, seconds));
}
