/** What workers and servers say to each other: docs/worker-protocol.md as types. */

import type { Json } from "./values.js";

export const OLDEST = 1;
export const NEWEST = 1; // versions of the protocol that are spoken here

export type Ending = "SUCCEEDED" | "FAILED" | "TIMED_OUT" | "STOPPED";
export type Verb = "stop" | "kill" | "hold" | "resume";

/** What went wrong, as it is told and shown. */
export interface Told {
  readonly type: string;
  readonly message: string;
  readonly trace?: string;
}

export interface Hello {
  readonly type: "hello";
  readonly oldest: number;
  readonly newest: number;
  readonly name: string;
  readonly slots: number;
  readonly actions: readonly string[];
  readonly workflows: readonly Json[];
  readonly running: readonly string[];
  readonly sdk: string;
  readonly host?: string;
  readonly pid?: number;
}

export interface Lease {
  readonly type: "lease";
  readonly running: readonly string[];
}

export interface Ended {
  readonly type: "ended";
  readonly attempt: string;
  readonly ending: Ending;
  readonly output?: Json;
  readonly error?: Told;
  readonly retryable?: boolean;
  /** If it was stopped: nobody knows how far it came. */
  readonly lost?: boolean;
}

export interface Back {
  readonly type: "back";
  readonly attempt: string;
  readonly why?: string;
}

export interface Progress {
  readonly type: "progress";
  readonly attempt: string;
  readonly percent?: number;
  readonly message?: string;
  readonly data?: { readonly [name: string]: Json };
}

export interface Log {
  readonly type: "log";
  readonly attempt: string;
  readonly offset: number;
  readonly text: string;
}

export type FromWorker =
  Hello | Lease | Ended | Back | Progress | Log | { readonly type: "drain" } | { readonly type: "leave" };

export interface Welcome {
  readonly type: "welcome";
  readonly protocol: number;
  readonly beat: number;
  readonly lease: number;
  readonly clock: number;
  readonly poll: number;
  readonly server: string;
  readonly forget?: readonly string[] | null;
}

export interface Offer {
  readonly type: "offer";
  readonly attempt: string;
  readonly action: string;
  readonly payload: Json;
  readonly run: string;
  readonly task: string;
  readonly type_name: string;
  readonly number: number;
  readonly key: string;
  readonly timeout?: number | null;
  /** Seconds that a handler has to end when it is to stop. */
  readonly grace?: number | null;
  readonly workflow?: Json;
}

export interface Command {
  readonly type: "command";
  readonly attempt: string;
  readonly verb: Verb;
  readonly reason: string;
}

export type FromServer =
  | Welcome
  | Offer
  | Command
  | { readonly type: "have"; readonly attempts: readonly string[] }
  | { readonly type: "forget"; readonly attempt: string }
  | { readonly type: "bye"; readonly why: string; readonly fenced: boolean };

export interface Frame<Message = FromServer> {
  readonly session: string;
  readonly messages: readonly Message[];
}
