/** Workers that serve actions, and a client of the API. */

export { Dismissed } from "./carriers/carrier.js";
export { Client } from "./client/client.js";
export type {
  ChainRun,
  ListOptions,
  LogOptions,
  Published,
  RetryOptions,
  Run,
  RunStatus,
  SentEvent,
  StartOptions,
  StopOptions,
  Task,
  Verb,
  WaitOptions,
} from "./client/records.js";
export {
  Conflict,
  Forbidden,
  Invalid,
  NotFound,
  ProcessionError,
  Refused,
  RunFailed,
  Unauthorized,
  Unavailable,
  Unreachable,
} from "./client/problems.js";
export { Stopped, type Context } from "./context.js";
export type { Handler } from "./engine.js";
export { Misconfigured, type Address } from "./place.js";
export { Failure, type FailureOptions } from "./telling.js";
export type { Json } from "./values.js";
export { Worker, type WorkerOptions } from "./worker.js";
