/** Server-sent events, over as many connections as it takes. */

import { setTimeout as pause } from "node:timers/promises";
import { TextDecoder } from "node:util";
import { Deadline } from "../deadline.js";
import { get, type Asking } from "./asking.js";
import { mayPass } from "./problems.js";

/** Milliseconds after each failure, of who waits for long: a minute until it is given up. */
export const PATIENTLY = [200, 1_000, 3_000, 5_000, 10_000, 20_000, 20_000];
const QUIET = 75_000; // milliseconds; a stream says every few seconds that it is one

export interface Told {
  readonly kind: string;
  readonly data: string;
}

/** Reads events from whatever pieces they come in. */
export class Reader {
  private rest = "";
  private lines: string[] = [];
  private readonly decoder = new TextDecoder();

  constructor(public last = "") {}

  *feed(piece: Uint8Array): Generator<Told> {
    const whole = (this.rest + this.decoder.decode(piece, { stream: true })).split(/\r?\n/);
    this.rest = whole.pop() ?? "";
    for (const line of whole) {
      if (line !== "") this.lines.push(line);
      else yield* this.event();
    }
  }

  /** A blank line ends an event; comments alone are none. */
  private *event(): Generator<Told> {
    let kind = "";
    const data: string[] = [];
    for (const line of this.lines.splice(0)) {
      const [, name, value] = /^([^:]*):? ?(.*)$/.exec(line) as unknown as [string, string, string];
      if (name === "event") kind = value;
      else if (name === "data") data.push(value);
      else if (name === "id") this.last = value;
    }
    if (kind !== "" || data.length > 0) yield { kind, data: data.join("\n") };
  }
}

/** Each connection goes on behind the last event that was received, until an `end`. */
export async function* follow(asking: Asking, path: string, signal?: AbortSignal): AsyncGenerator<Told> {
  let last = "";
  for (let failures = 0; ;) {
    const connection = new Connection(asking, path, last, signal);
    try {
      for await (const told of connection.events()) {
        failures = 0;
        yield told;
        if (told.kind === "end") return;
      }
      if (connection.isOver) return;
    } catch (error) {
      signal?.throwIfAborted();
      const wait = PATIENTLY[failures];
      if (!mayPass(error) || wait === undefined) throw error;
      failures += 1;
      await pause(wait, undefined, { signal });
    } finally {
      last = connection.last;
      connection.end();
    }
  }
}

class Connection {
  isOver = false;
  private readonly reader: Reader;
  private readonly deadline: Deadline;

  constructor(
    private readonly asking: Asking,
    private readonly path: string,
    last: string,
    private readonly given: AbortSignal | undefined,
  ) {
    this.reader = new Reader(last);
    this.deadline = new Deadline(QUIET, given);
  }

  get last(): string {
    return this.reader.last;
  }

  async *events(): AsyncGenerator<Told> {
    const headers = { Accept: "text/event-stream", ...(this.last ? { "Last-Event-ID": this.last } : {}) };
    const question = { ...get(this.path), headers, signal: this.given };
    const answer = await this.asking.open(question, this.deadline.signal);
    this.isOver = answer.status === 204;
    if (!answer.body) return;
    try {
      for await (const piece of answer.body) {
        this.deadline.refresh();
        yield* this.reader.feed(piece as Uint8Array);
      }
    } catch (error) {
      throw this.asking.unreachable(error);
    }
  }

  end(): void {
    this.deadline.end();
  }
}

/** Output as texts: characters that are cut by a chunk are put together again. */
export class Printed {
  private readonly decoders: Readonly<Record<string, TextDecoder>> = {
    out: new TextDecoder(),
    err: new TextDecoder(),
  };

  read(told: Told): string {
    const found = (told.data === "" ? {} : JSON.parse(told.data)) as { data?: string; missing?: number };
    if (told.kind === "gap") return `\n… ${found.missing ?? 0} bytes are not kept …\n`;
    const bytes = Buffer.from(found.data ?? "", "base64");
    return this.decoders[told.kind]?.decode(bytes, { stream: true }) ?? "";
  }
}
