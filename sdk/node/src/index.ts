/** Workers that serve actions, and a client of the API. */

export { Refused } from "./carriers/carrier.js";

export { Stopped, type Context } from "./context.js";
export type { Handler } from "./engine.js";
export { Failure, type FailureOptions } from "./telling.js";
export type { Json } from "./values.js";
export { Worker, type WorkerOptions } from "./worker.js";
