/** A client of the API: starts runs, waits for them, reads and steers them. */

import { setTimeout as pause } from "node:timers/promises";
import { placeOf, type Address } from "../place.js";
import { VERSION } from "../version.js";
import { Asking, at, get, post, type Params } from "./asking.js";
import { PATIENTLY, Printed, follow } from "./events.js";
import { RunFailed, mayPass } from "./problems.js";
import type {
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
} from "./records.js";

const FINAL: ReadonlySet<string> = new Set(["COMPLETED", "FAILED", "STOPPED"]);
const TASK_IS_OVER: ReadonlySet<string> = new Set(["COMPLETED", "FAILED", "SKIPPED", "STOPPED"]);
const LONGEST_WAIT = 60; // seconds that one answer may be put off

type Id = string | Run;

export class Client {
  private readonly asking: Asking;

  constructor(address: Address = {}) {
    this.asking = new Asking(placeOf(address, `procession-sdk-node/${VERSION}`));
  }

  // Process types

  /** Publishes process types: YAML as a text, or objects. What says nothing new makes no new version. */
  async define(definition: string | object, key?: string): Promise<Published[]> {
    const found = await this.asking.json<{ items: Published[] }>(document("process-types", definition, key));
    return found.items;
  }

  /** Says what is wrong with a definition by throwing it; publishes nothing. */
  async validate(definition: string | object): Promise<unknown> {
    return this.asking.json(document("process-types/validate", definition));
  }

  // Runs

  async start(type: string, input: object = {}, options: StartOptions = {}): Promise<Run> {
    const { key, ...wish } = options;
    return this.asking.json(post(at("runs"), { type, input, ...wish }, key));
  }

  /** How it stands now. */
  async getRun(run: Id): Promise<Run> {
    return this.asking.json(get(at("runs", idOf(run))));
  }

  async status(run: Id): Promise<RunStatus> {
    return (await this.getRun(run)).status;
  }

  /** Resolves when it has ended, however. */
  async wait(run: Id, { timeout = Infinity, signal }: WaitOptions = {}): Promise<Run> {
    const end = performance.now() + timeout * 1_000;
    for (;;) {
      const left = Math.max(0, Math.ceil((end - performance.now()) / 1_000));
      const ask = (): Promise<Run> => this.putOff(run, Math.min(LONGEST_WAIT, left), signal);
      const found = await patiently(ask, signal);
      if (FINAL.has(found.status)) return found;
      if (performance.now() >= end) {
        throw new DOMException(`the run ${found.id} is ${found.status} after ${timeout} s`, "TimeoutError");
      }
    }
  }

  /** What it came to, waited for. One that failed or was stopped throws `RunFailed`. */
  async output<Output = unknown>(run: Id, options: WaitOptions = {}): Promise<Output> {
    const found = await this.wait(run, options);
    if (found.status !== "COMPLETED") throw new RunFailed(found.id, found.status, found.error);
    return found.output as Output;
  }

  /** The newest first; filters narrow each other. */
  async listRuns({ most = 200, labels = {}, ...filter }: ListOptions = {}): Promise<Run[]> {
    const label = Object.entries(labels).map(([name, value]) => `${name}:${value}`);
    return this.asking.pages(at("runs"), { ...filter, label }, most);
  }

  /** Why it does not go on, the nearest causes first. */
  async why(run: Id): Promise<string[]> {
    return (await this.asking.json<{ reasons: string[] }>(get(at("runs", idOf(run), "why")))).reasons;
  }

  // Commands

  /** Nothing more of it begins; with `freeze`, what is in hand stands still too. */
  async hold(run: Id, options: { freeze?: boolean } = {}): Promise<Run> {
    return this.command(run, "hold", options);
  }

  async resume(run: Id): Promise<Run> {
    return this.command(run, "resume");
  }

  async stop(run: Id, options: StopOptions = {}): Promise<Run> {
    return this.command(run, "stop", options);
  }

  async undo(run: Id): Promise<Run> {
    return this.command(run, "undo");
  }

  /** From what failed on, or from one task on, or as a whole. */
  async retry(run: Id, options: RetryOptions = {}): Promise<Run> {
    return this.command(run, "retry", options);
  }

  async command(run: Id, verb: Verb, wish: object = {}): Promise<Run> {
    return this.asking.json(post(at("runs", idOf(run), verb), wish));
  }

  // Tasks

  async listTasks(run: Id): Promise<Task[]> {
    return this.asking.pages(at("runs", idOf(run), "tasks"), {});
  }

  async getTask(run: Id, task: string): Promise<Task> {
    return this.asking.json(get(at("runs", idOf(run), "tasks", task)));
  }

  async skipTask(run: Id, task: string, why: string): Promise<Task> {
    return this.asking.json(post(at("runs", idOf(run), "tasks", task, "skip"), { why }));
  }

  async completeTask(run: Id, task: string, why: string, output: unknown = null): Promise<Task> {
    return this.asking.json(post(at("runs", idOf(run), "tasks", task, "complete"), { why, output }));
  }

  // Following

  /** What happens to a run, as it happens, until it has ended. */
  async *follow(run: Id, signal?: AbortSignal): AsyncGenerator<Record<string, unknown>> {
    for await (const told of follow(this.asking, at("runs", idOf(run), "events"), signal)) {
      if (told.data !== "") yield JSON.parse(told.data) as Record<string, unknown>;
    }
  }

  /** What a task prints, as it does: in one attempt after another, or in this one. */
  async *logs(run: Id, task: string, { attempt, signal }: LogOptions = {}): AsyncGenerator<string> {
    let number = attempt ?? (await this.nextAttempt(run, task, 0, signal));
    while (number > 0) {
      const path = at("runs", idOf(run), "tasks", task, "attempts", number, "output", "events");
      const printed = new Printed();
      for await (const told of follow(this.asking, path, signal)) {
        const text = printed.read(told);
        if (text !== "") yield text;
      }
      number = attempt === undefined ? await this.nextAttempt(run, task, number, signal) : 0;
    }
  }

  // Events

  /** Something that happened; the same source and id again is the same event. */
  async sendEvent(event: SentEvent): Promise<unknown> {
    return this.asking.json(post(at("events"), event));
  }

  // Chains, the short way: each action gets what the one before it returned.

  /** The same id with the same actions again changes nothing. */
  async defineWorkflow(id: string, actions: readonly string[]): Promise<string> {
    const steps = actions.map((action, stepIndex) => ({ action, stepIndex }));
    return this.asking.text(post("/workflow/", { id, steps }));
  }

  /** The id of the run. `input` is the payload of the first action. */
  async triggerWorkflow(id: string, input: unknown, idempotencyKey?: string): Promise<string> {
    return this.asking.text(post(`/workflow/${encodeURIComponent(id)}/trigger`, { input }, idempotencyKey));
  }

  async getRunStatus(run: string): Promise<ChainRun> {
    return this.asking.json(get(`/workflow/run/${encodeURIComponent(run)}`));
  }

  // Whatever has no question of its own here

  /** Any operation by its method and path, `/api/v1/…`; answers what JSON it answers. */
  async call<Found = unknown>(
    method: string,
    path: string,
    options: { body?: unknown; params?: Params; key?: string } = {},
  ): Promise<Found> {
    const { body, params = {}, key } = options;
    if (method.toUpperCase() === "POST") return this.asking.json({ ...post(path, body, key), params });
    const question = { ...get(path, params), method: method.toUpperCase() };
    if (body === undefined) return this.asking.json(question);
    const headers = { "Content-Type": "application/json" };
    return this.asking.json({ ...question, headers, body: JSON.stringify(body) });
  }

  /** All items of any list, or so many, over as many pages as that takes. */
  async listAll<Item = unknown>(path: string, params: Params = {}, most?: number): Promise<Item[]> {
    return this.asking.pages(path, params, most);
  }

  private async putOff(run: Id, wait: number, signal?: AbortSignal): Promise<Run> {
    const headers: Record<string, string> = wait > 0 ? { Prefer: `wait=${wait}` } : {};
    return this.asking.json({ ...get(at("runs", idOf(run))), headers, wait, signal });
  }

  /** The number of the attempt behind this one, when it has begun; 0 if there will be none. */
  private async nextAttempt(run: Id, task: string, after: number, signal?: AbortSignal): Promise<number> {
    for (;;) {
      const found = await this.getTask(run, task);
      if (found.attempt > after) return after + 1;
      if (TASK_IS_OVER.has(found.status)) return 0;
      const whole = await this.putOff(run, 1, signal);
      if (FINAL.has(whole.status) && (await this.getTask(run, task)).attempt <= after) return 0;
      await pause(0, undefined, { signal });
    }
  }
}

/** Who waits for long does not mind that a server is started anew. */
async function patiently<Found>(ask: () => Promise<Found>, signal?: AbortSignal): Promise<Found> {
  for (const milliseconds of PATIENTLY) {
    try {
      return await ask();
    } catch (error) {
      if (!mayPass(error)) throw error;
      await pause(milliseconds, undefined, { signal });
    }
  }
  return ask();
}

function idOf(run: Id): string {
  return typeof run === "string" ? run : run.id;
}

function document(path: string, definition: string | object, key?: string): ReturnType<typeof post> {
  const question = post(`/api/v1/${path}`, definition, key);
  if (typeof definition !== "string") return question;
  const headers = { ...question.headers, "Content-Type": "application/yaml" };
  return { ...question, headers, body: definition };
}
