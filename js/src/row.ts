// Made by ../columns.mjs from protocol.json, where columns are added: not to be edited.

import { instant, num, oneOf, text, textOrNull, texts, type Plain } from "./checks";

export interface Row {
  id: string;
  title: string;
  name: string;
  args: string;
  tags: string[];
  group: number;
  status: "pending" | "running" | "completed" | "failed" | "cancelled";
  priority: number;
  position: number | null;
  attempt: number;
  retry_of: string | null;
  created_at: number | null;
  started_at: number | null;
  completed_at: number | null;
  progress: number;
  message: string;
  phase: string | null;
  where: string | null;
  cancel_phase: string | null;
  force_at: number | null;
  can_kill: boolean;
  note: string | null;
  differs: boolean;
  held: boolean;
  hold_until: number | null;
  hold_then: string;
  starts_at: number | null;
  start_about: number | null;
  block: string | null;
  error: string | null;
  cancel_reason: string | null;
  news_at: number | null;
}

/** Every column with the right type, whatever was sent. */
export function columnsOf(value: Plain): Row {
  return {
    id: text(value["id"], 64),
    title: text(value["title"]),
    name: text(value["name"]),
    args: text(value["args"]),
    tags: texts(value["tags"], 8),
    group: num(value["group"]),
    status: oneOf(
      value["status"], ["pending", "running", "completed", "failed", "cancelled"], "pending",
    ),
    priority: num(value["priority"]),
    position: instant(value["position"]),
    attempt: num(value["attempt"], 1),
    retry_of: textOrNull(value["retry_of"]),
    created_at: instant(value["created_at"]),
    started_at: instant(value["started_at"]),
    completed_at: instant(value["completed_at"]),
    progress: Math.min(1, num(value["progress"] ?? 0, -1)),
    message: text(value["message"]),
    phase: textOrNull(value["phase"]),
    where: textOrNull(value["where"]),
    cancel_phase: textOrNull(value["cancel_phase"]),
    force_at: instant(value["force_at"]),
    can_kill: value["can_kill"] === true,
    note: textOrNull(value["note"]),
    differs: value["differs"] === true,
    held: value["held"] === true,
    hold_until: instant(value["hold_until"]),
    hold_then: text(value["hold_then"]) || "release",
    starts_at: instant(value["starts_at"]),
    start_about: instant(value["start_about"]),
    block: textOrNull(value["block"]),
    error: textOrNull(value["error"]),
    cancel_reason: textOrNull(value["cancel_reason"]),
    news_at: instant(value["news_at"]),
  };
}
