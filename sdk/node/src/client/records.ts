/** What a client asks with, and what it is answered. */

export type RunStatus =
  | "PENDING"
  | "IN_PROGRESS"
  | "HOLDING"
  | "HELD"
  | "STOPPING"
  | "COMPENSATING"
  | "COMPLETED"
  | "FAILED"
  | "STOPPED";

/** One carrying-out of a process type. */
export interface Run {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly status: RunStatus;
  readonly input: Readonly<Record<string, unknown>>;
  readonly output?: unknown;
  readonly error: string | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly [more: string]: unknown;
}

/** One step of a run. */
export interface Task {
  readonly name: string;
  readonly kind: string;
  readonly status: string;
  readonly attempt: number;
  readonly output?: unknown;
  readonly error: string | null;
  readonly [more: string]: unknown;
}

export interface Published {
  readonly name: string;
  readonly version: number;
  /** Whether this is a new version. */
  readonly changed: boolean;
}

/** A chain of actions as the short way shows it. */
export interface ChainRun {
  readonly runId: string;
  readonly workflowId: string;
  readonly currentStep: number;
  readonly status: "RUNNING" | "COMPLETE" | "FAILED";
  readonly input: string | null;
  readonly finalOutput: string | null;
  readonly stepResults: readonly { action: string; stepIndex: number; result: string | null }[];
}

export interface StartOptions {
  /** The same key with the same wish is the same run, however often it is asked. */
  key?: string;
  labels?: Record<string, string>;
  /** 0 to 9, which is the most urgent. */
  priority?: number;
  /** The newest one unless said. */
  version?: number;
}

export interface WaitOptions {
  /** Seconds, after which it throws a `TimeoutError`. */
  timeout?: number;
  signal?: AbortSignal;
}

export interface StopOptions {
  why?: string;
  /** At once, without any grace. */
  kill?: boolean;
  /** Undo what was done. */
  undo?: boolean;
}

export interface RetryOptions {
  /** From this task on. */
  task?: string;
  /** Every task again. */
  whole?: boolean;
  input?: Record<string, unknown>;
}

export interface ListOptions {
  type?: string;
  status?: RunStatus | readonly RunStatus[];
  labels?: Record<string, string>;
  record?: string;
  error?: string;
  /** How many at most; 200 unless said. */
  most?: number;
}

export interface LogOptions {
  /** This attempt and no other. */
  attempt?: number;
  signal?: AbortSignal;
}

/** Something that happened. */
export interface SentEvent {
  source: string;
  type: string;
  /** Made if left out; the same source and id again is the same event. */
  id?: string;
  /** What it is about: correlates it with what waits. */
  key?: string;
  /** RFC 3339; now, if left out. */
  time?: string;
  data?: unknown;
}

export type Verb = "hold" | "resume" | "stop" | "undo" | "retry";
