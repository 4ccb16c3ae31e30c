/** How what became of an attempt is told: results as JSON, exceptions as errors. */

import type { Ended, Ending, Told } from "./messages.js";
import { Unfit, cleaned, clipped, json, type Json } from "./values.js";
import { MOST_MESSAGE, encode } from "./wire.js";

const DEEPEST = 64; // as inputs and outputs of the API
const REMEDY = "A handler returns a text, or what JSON has";

/**
 * Thrown by a handler that knows why it cannot do what it was asked.
 *
 * `retryable: false` says that another attempt would fail too; `type` is what the error is called.
 */
export class Failure extends Error {
  override readonly name: string = "Failure";
  readonly retryable: boolean;
  readonly type: string;

  constructor(message: string, options: FailureOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.retryable = options.retryable ?? true;
    this.type = options.type ?? "Failure";
  }
}

export interface FailureOptions {
  retryable?: boolean;
  type?: string;
  cause?: unknown;
}

/** Or failed, if nothing could carry the result. */
export function succeeded(attempt: string, result: unknown): Ended {
  if (typeof result === "string" && result.length < 1_000) {
    return checked(attempt, result);
  }
  let written: string | undefined;
  try {
    written = JSON.stringify(result);
  } catch (error) {
    return unfit(
      attempt,
      "ResultNotJson",
      `the result is nothing that JSON has: ${worded(error)}. ${REMEDY}`,
    );
  }
  if (written === undefined) return checked(attempt, null);
  const size = Buffer.byteLength(written);
  if (size > MOST_MESSAGE - 200) {
    const why = `the result has ${size} bytes, and ${MOST_MESSAGE - 200} can be told`;
    return unfit(attempt, "ResultTooLarge", `${why}. Keep it somewhere, and return where`);
  }
  return checked(attempt, JSON.parse(written) as Json);
}

function checked(attempt: string, output: Json): Ended {
  try {
    json(output, "the result", DEEPEST);
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
    return unfit(attempt, "ResultNotJson", `${error.message}. ${REMEDY}`);
  }
  return { type: "ended", attempt, ending: "SUCCEEDED", output };
}

/** Of a handler, with its type, message and trace. */
export function raised(attempt: string, error: unknown, ending: Ending = "FAILED"): Ended {
  const retryable = error instanceof Failure ? error.retryable : true;
  return { type: "ended", attempt, ending, error: described(error), retryable };
}

export function stopped(attempt: string, reason: string): Ended {
  const error = { type: "Stopped", message: clipped(reason, 2_000) };
  return { type: "ended", attempt, ending: "STOPPED", error };
}

/** It was to stop, and nobody will say how it ended. */
export function lost(ended: Ended): Ended {
  return ended.ending === "STOPPED" ? { ...ended, lost: true } : ended;
}

export function timedOut(attempt: string, seconds: number): Ended {
  const error = { type: "TimedOut", message: `it has not ended within ${seconds} s` };
  return { type: "ended", attempt, ending: "TIMED_OUT", error };
}

/** The server could not read how it ended; said as it is, it would be refused for ever. */
export function untellable(attempt: string, why: string): string {
  return encode(unfit(attempt, "EndNotReadable", `it ended, and the server could not read how: ${why}`));
}

function unfit(attempt: string, type: string, message: string): Ended {
  const error = { type, message: clipped(message, 2_000) };
  return { type: "ended", attempt, ending: "FAILED", error, retryable: false };
}

export function described(error: unknown): Told {
  const type = readable(() => typeOf(error), "Error");
  const message = readable(() => worded(error), "an error that cannot be read");
  const trace = readable(() => traceOf(error), "");
  const told = { type: clipped(type, 200), message: clipped(message, 2_000) };
  return trace === "" ? told : { ...told, trace: clipped(trace, 16_000) };
}

/** Whatever is thrown may throw when it is looked at. */
function readable(look: () => string, otherwise: string): string {
  try {
    return String(look());
  } catch {
    return otherwise;
  }
}

/** An error that says nothing of its name has that of its class. */
function typeOf(error: unknown): string {
  if (error instanceof Failure) return error.type;
  if (!(error instanceof Error)) return "Error";
  const { name } = error;
  return typeof name === "string" && name !== "" && name !== "Error" ? name : error.constructor.name;
}

function worded(error: unknown): string {
  return error instanceof Error ? error.message : `thrown: ${shown(error)}`;
}

function shown(thrown: unknown): string {
  return typeof thrown === "object" ? (JSON.stringify(thrown) ?? String(thrown)) : String(thrown);
}

function traceOf(error: unknown): string {
  const found: string[] = [];
  const seen = new Set<unknown>();
  for (let each = error; each instanceof Error && !seen.has(each); each = each.cause) {
    seen.add(each);
    if (typeof each.stack === "string") found.push(each.stack);
  }
  return cleaned(found.join("\ncaused by: "));
}
