/** What both carriers have in common. */

import type { Engine } from "../engine.js";
import type { Place } from "../place.js";

/** A connection came to nothing, or to its end; another one may do better. */
export class Lost extends Error {
  override readonly name: string = "Lost";

  constructor(
    message: string,
    readonly wait = 0, // seconds that the other end wants us to wait
  ) {
    super(message);
  }
}

/** Something on the way does not let this carrier pass. */
export class Unsuited extends Lost {
  override readonly name = "Unsuited";
}

/** Nothing that is tried again can help. */
export class Dismissed extends Error {
  override readonly name: string = "Dismissed";
}

/** Carries frames until the worker has left; throws `Lost` or `Dismissed` when it ends before that. */
export type Carrier = (engine: Engine, place: Place, over: AbortSignal) => Promise<void>;

const LONGEST_WAIT = 300; // seconds that a server may ask for

export const TOKEN_REFUSED =
  "the server refuses the token: a worker needs one of the role `worker` (`procession tokens create`), " +
  "in PROCESSION_TOKEN or the file that PROCESSION_TOKEN_FILE names";

/** What an answer with an HTTP status other than the good one means. */
export function refusal(status: number, retryAfter: string | null, why: string): Lost | Dismissed {
  if (status === 401 || status === 403) return new Dismissed(`${TOKEN_REFUSED} (${status}${said(why)})`);
  const seconds = Number(retryAfter ?? 0);
  const wait = seconds > 0 ? Math.min(seconds, LONGEST_WAIT) : 0;
  const message = `the server answers ${status}${said(why)}`;
  return status === 429 || status >= 500 ? new Lost(message, wait) : new Unsuited(message, wait);
}

/** `fetch failed` says nothing, its cause does; of several causes the code is what is said. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (cause instanceof Error) return reasonOf(cause) || error.message;
  return error.message || String((error as NodeJS.ErrnoException).code ?? error.name);
}

/** What is to read of a problem document, or of a line of text. */
export function detail(text: string): string {
  try {
    return String((JSON.parse(text) as { detail?: unknown }).detail ?? "").slice(0, 500);
  } catch {
    return text.startsWith("<") ? "" : text.trim().slice(0, 500);
  }
}

function said(why: string): string {
  return why === "" ? "" : `: ${why}`;
}

/** Rings once, at the earliest moment that it was set to. */
export class Alarm {
  private due = Infinity;
  private timer: NodeJS.Timeout | undefined;

  constructor(private readonly ring: () => void) {}

  /** In so many milliseconds, unless it rings sooner. */
  set(delay: number): void {
    const due = performance.now() + delay;
    if (due >= this.due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => {
      this.due = Infinity;
      this.ring();
    }, delay);
  }

  clear(): void {
    clearTimeout(this.timer);
    this.due = Infinity;
  }
}
