/** A worker: serves actions until it is stopped, whatever becomes of its connection. */

import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { Windows } from "./backoff.js";
import { Dismissed, Lost, Unsuited, type Carrier } from "./carriers/carrier.js";
import { poll } from "./carriers/poll.js";
import { stream } from "./carriers/stream.js";
import { Core } from "./core.js";
import { Engine, type Handler } from "./engine.js";
import { Misconfigured, placeOf, type Address, type Place } from "./place.js";
import { VERSION } from "./version.js";
import { servedName, workerName } from "./wire.js";

const SDK = `node/${VERSION}`;
const MOST_SLOTS = 1_000;
const LAST_WORDS = 5; // seconds that handlers have to end after they were told to
const FAREWELL = 5; // seconds until the server has acknowledged the last ends
const LASTING = 1; // seconds after which a connection was no failure
const SUSPICIOUS = 2; // refusals of a stream after which polls are tried

export interface WorkerOptions extends Address {
  /** What people see; else `node-worker-` and a random number. */
  name?: string;
  /** How many attempts are carried out at once. 10 unless said. */
  slots?: number;
  /** Seconds that what is in hand may go on after SIGTERM, SIGINT or `stop`. 30 unless said. */
  grace?: number;
  /** `auto` takes a WebSocket, and polls where none gets through. */
  carrier?: "auto" | "stream" | "poll";
  /** Whether SIGTERM and SIGINT stop it; true unless said. */
  signals?: boolean;
  /** Who is told what becomes of the connection; standard error unless said. */
  report?: (line: string) => void;
}

export class Worker {
  readonly name: string;
  private readonly options: WorkerOptions;
  private readonly slots: number;
  private readonly handlers = new Map<string, Handler>();
  private life: Life | null = null;

  constructor(options: WorkerOptions = {}) {
    this.options = options;
    this.name = options.name ?? `node-worker-${randomUUID().slice(0, 8)}`;
    this.slots = options.slots ?? 10;
    workerName(this.name, "name");
    if (!Number.isInteger(this.slots) || this.slots < 1 || this.slots > MOST_SLOTS) {
      throw new TypeError(`slots: a whole number from 1 to ${MOST_SLOTS} is due, not ${this.slots}`);
    }
  }

  /** Serves an action; returns the worker, so that calls can be chained. */
  register<Payload = any, Result = unknown>(action: string, handler: Handler<Payload, Result>): this {
    if (this.life) throw new Error(`register ${action} before the worker is started`);
    if (this.handlers.has(action)) throw new Error(`${action} is registered already`);
    servedName(action, "action");
    this.handlers.set(action, handler);
    return this;
  }

  /** Serves what was registered; resolves when the worker has been stopped, and has left. */
  async start(url?: string): Promise<void> {
    if (this.life) throw new Error("this worker has been started already");
    if (this.handlers.size === 0) throw new Error("register an action before the worker is started");
    const place = placeOf({ url: url ?? this.options.url, token: this.options.token }, SDK);
    const what = `${this.name} serves ${[...this.handlers.keys()].join(", ")} for ${place.url}`;
    const life = new Life(this.engine(), place, this.options, what);
    this.life = life;
    const unlisten = this.options.signals === false ? () => undefined : listen(life);
    try {
      await life.run();
    } finally {
      unlisten();
      this.life = null;
    }
  }

  /**
   * Takes no more, ends what is in hand within the grace, and leaves. A second call ends the grace.
   * A handler that waits for it would wait for itself.
   */
  async stop(): Promise<void> {
    await this.life?.stop();
  }

  private engine(): Engine {
    const profile = {
      name: this.name,
      slots: this.slots,
      actions: [...this.handlers.keys()],
      sdk: SDK,
      host: hostname().slice(0, 200),
      pid: process.pid,
    };
    const core = new Core(profile, () => randomUUID());
    return new Engine(core, this.handlers, () => performance.now() / 1_000);
  }
}

/** From a start to its end. */
class Life {
  readonly report: (line: string) => void;
  private readonly over = new AbortController();
  private readonly hurry = new AbortController();
  private readonly windows = new Windows();
  private ending: Promise<void> | null = null;
  private refusals = 0; // of streams, one after another
  private welcomed = Infinity; // when the connection became a good one

  constructor(
    private readonly engine: Engine,
    private readonly place: Place,
    private readonly options: WorkerOptions,
    what: string,
  ) {
    this.report = options.report ?? ((line) => process.stderr.write(`procession: ${line}\n`));
    engine.onWelcome = () => {
      this.welcomed = engine.now();
      this.report(what);
    };
  }

  async run(): Promise<void> {
    try {
      while (!this.engine.isOver) await this.connection();
    } catch (error) {
      this.engine.stopAll("this worker has ended");
      this.hurry.abort();
      throw error;
    } finally {
      this.over.abort();
    }
  }

  async stop(): Promise<void> {
    if (this.ending) this.hurry.abort();
    this.ending ??= Promise.resolve().then(() => this.end());
    await this.ending;
  }

  private async connection(): Promise<void> {
    let asked: string | undefined;
    try {
      asked = this.token();
      await this.carrier()(this.engine, this.place, this.over.signal);
    } catch (error) {
      if (error instanceof Lost) return this.lost(error);
      // It could be read when the worker began, so it will be.
      if (error instanceof Misconfigured) return this.lost(new Lost(error.message));
      // A token that was renewed meanwhile may be a good one.
      if (!(error instanceof Dismissed) || this.token() === asked) throw error;
      await this.lost(new Lost(error.message));
    }
  }

  private token(): string | undefined {
    return this.place.headers()["Authorization"];
  }

  private carrier(): Carrier {
    if (this.options.carrier === "poll") return poll;
    return this.refusals < SUSPICIOUS || this.options.carrier === "stream" ? stream : poll;
  }

  private async lost(error: Lost): Promise<void> {
    const wasPolling = this.refusals >= SUSPICIOUS;
    this.refusals = error instanceof Unsuited && !wasPolling ? this.refusals + 1 : 0;
    if (this.engine.isOver) return;
    if (this.engine.now() - this.welcomed >= LASTING) this.windows.succeeded();
    this.welcomed = Infinity;
    const wait = this.windows.next(this.engine.now(), error.wait);
    this.report(`${error.message}; again in ${wait.toFixed(1)} s`);
    await pause(wait, this.over.signal);
  }

  private async end(): Promise<void> {
    const { engine } = this;
    const why = "this worker has been stopped";
    this.report(`stopping; ${engine.core.busy} in hand`);
    engine.drain();
    if (!(await engine.idle((this.options.grace ?? 30) * 1_000, this.hurry.signal))) {
      engine.stopAll(why);
      await engine.idle(LAST_WORDS * 1_000);
      engine.giveUpAll(why);
    }
    await engine.acknowledged(FAREWELL * 1_000, this.over.signal);
    engine.leave();
    if (engine.core.isConnected) await pause(FAREWELL, this.over.signal);
    this.over.abort();
  }
}

/** Resolves after so many seconds, or when it is over. */
async function pause(seconds: number, over: AbortSignal): Promise<void> {
  if (over.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      over.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1_000);
    over.addEventListener("abort", done);
  });
}

/** SIGTERM and SIGINT stop it; said again they end the grace. Returns how to listen no longer. */
function listen(life: Life): () => void {
  const stop = (): void => void life.stop();
  process.on("SIGTERM", stop).on("SIGINT", stop);
  return () => process.off("SIGTERM", stop).off("SIGINT", stop);
}
