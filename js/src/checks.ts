// Values of the right type, made of whatever was sent.

export type Plain = Record<string, unknown>;

/** Longest text taken into a row; Python clips earlier. */
const TEXT_LIMIT = 500;

export function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function num(value: unknown, otherwise = 0): number {
  return typeof value === "number" && Number.isFinite(value) ? value : otherwise;
}

export function count(value: unknown): number {
  return Math.max(0, Math.floor(num(value)));
}

export function text(value: unknown, limit = TEXT_LIMIT): string {
  if (typeof value !== "string") return "";
  return value.length > limit ? value.slice(0, limit).replace(/[\ud800-\udbff]$/, "") : value;
}

export function instant(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

export function textOrNull(value: unknown): string | null {
  return typeof value === "string" ? text(value) : null;
}

export function texts(value: unknown, most: number): string[] {
  const given = Array.isArray(value) ? value : [];
  return given.filter((item): item is string => typeof item === "string").slice(0, most);
}

export function oneOf<Known extends string>(
  value: unknown, known: readonly Known[], otherwise: Known,
): Known {
  return known.find((item) => item === value) ?? otherwise;
}
