/** What a handler knows of its attempt, and what it may say of it. */

import { format } from "node:util";
import type { Offer, Progress } from "./messages.js";
import { cleaned, clipped, json, number, object, type Json } from "./values.js";

const MOST_DATA = 64 << 10; // bytes of the data of a progress

/** Why a signal is aborted. */
export class Stopped extends Error {
  override readonly name: string = "Stopped";
}

export interface Context {
  /** The action that was asked for. */
  readonly action: string;
  /** `TASK.NUMBER`: this claim of the task, and no other. */
  readonly attempt: string;
  /** Which attempt this is, from 1; one that cost the task no retry is not counted. */
  readonly number: number;
  /** The run that it is part of. */
  readonly run: string;
  /** The name of the task in its run. */
  readonly task: string;
  /** The process type of the run. */
  readonly type: string;
  /** The same for every attempt of the task in its round: for effects that may happen only once. */
  readonly key: string;
  /** Seconds from the beginning that it may take, if there is a bound. */
  readonly timeout: number | undefined;
  /** Aborted when it is to stop: by somebody's command, a timeout, the end of the worker. */
  readonly signal: AbortSignal;
  /** Whether its run is held at the moment. */
  readonly isHeld: boolean;
  /** Says how far it is; the newest counts. `percent` is from 0 to 100. */
  progress(percent: number | null, message?: string, data?: Record<string, unknown>): void;
  /** Prints a line into the output of the attempt, as `console.log` does. */
  log(...values: unknown[]): void;
  /** Waits while the run is held, and throws if it is to stop. For between two parts of the work. */
  checkpoint(): Promise<void>;
}

/** Whom a context tells. */
export interface Listener {
  progress(progress: Progress): void;
  log(attempt: string, text: string): void;
}

export class Attempt implements Context {
  readonly action: string;
  readonly attempt: string;
  readonly number: number;
  readonly run: string;
  readonly task: string;
  readonly type: string;
  readonly key: string;
  readonly timeout: number | undefined;
  private readonly controller = new AbortController();
  private resumed: Promise<void> | null = null;
  private resume = (): void => undefined;

  constructor(
    offer: Offer,
    private readonly listener: Listener,
  ) {
    this.action = offer.action;
    this.attempt = offer.attempt;
    this.number = offer.number;
    this.run = offer.run;
    this.task = offer.task;
    this.type = offer.type_name;
    this.key = offer.key;
    this.timeout = offer.timeout ?? undefined;
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get isHeld(): boolean {
    return this.resumed !== null;
  }

  progress = (percent: number | null, message?: string, data?: Record<string, unknown>): void => {
    if (percent !== null) number(0, 100)(percent, "percent");
    this.listener.progress({
      type: "progress",
      attempt: this.attempt,
      ...(percent === null ? {} : { percent }),
      ...(message === undefined ? {} : { message: clipped(message, 2_000) }),
      ...(data === undefined ? {} : { data: plain(data) }),
    });
  };

  log = (...values: unknown[]): void => {
    this.listener.log(this.attempt, `${cleaned(format(...values))}\n`);
  };

  checkpoint = async (): Promise<void> => {
    while (this.resumed && !this.signal.aborted) await this.resumed;
    this.signal.throwIfAborted();
  };

  hold(): void {
    this.resumed ??= new Promise((resolve) => (this.resume = resolve));
  }

  letGo(): void {
    this.resumed = null;
    this.resume();
  }

  stop(why: string): void {
    this.controller.abort(new Stopped(why));
    this.letGo();
  }
}

function plain(data: Record<string, unknown>): Record<string, Json> {
  const written = JSON.stringify(data);
  if (Buffer.byteLength(written) > MOST_DATA) {
    throw new RangeError(`the data of a progress has ${MOST_DATA} bytes at most`);
  }
  const found: unknown = JSON.parse(written);
  object(found, "data");
  json(found, "data", 16);
  return found as Record<string, Json>;
}
