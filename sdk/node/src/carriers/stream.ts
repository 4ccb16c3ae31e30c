/** Frames over a WebSocket. */

import type { IncomingMessage } from "node:http";
import { WebSocket } from "ws";
import type { Engine } from "../engine.js";
import type { Place } from "../place.js";
import { LARGEST, BadFrame } from "../wire.js";
import { Alarm, Lost, Dismissed, TOKEN_REFUSED, detail, reasonOf, refusal } from "./carrier.js";

const SUBPROTOCOL = "procession.worker.1";
const PAUSE = 5; // milliseconds between two frames, which gathers what is said meanwhile
const MOMENT = 100; // milliseconds that what is not urgent may wait
const FULL = 4 << 20; // bytes that may be on their way
const HANDSHAKE = 10_000; // milliseconds
const FAREWELL = 3_000; // milliseconds until a close that nobody answers is one
const LONGEST_ANSWER = 16 << 10; // characters that are read of a refusal
const NOT_READ = 4400;
const NOT_GOOD = 4401;
const NO_VERSION = 4406;

export function stream(engine: Engine, place: Place, over: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => new Stream(engine, place, over, resolve, reject));
}

class Stream {
  private readonly socket: WebSocket;
  private readonly flushing = new Alarm(() => this.flush());
  private readonly ticking = new Alarm(() => this.tick());
  private flushed = -Infinity;
  private farewell: NodeJS.Timeout | undefined;
  private why: Error | null = null; // why it ends, if that is known before it does
  private isPuzzled = false; // by the server, not the server by us

  constructor(
    private readonly engine: Engine,
    place: Place,
    private readonly over: AbortSignal,
    private readonly resolve: () => void,
    private readonly reject: (error: Error) => void,
  ) {
    this.socket = new WebSocket(place.stream, SUBPROTOCOL, {
      headers: place.headers(),
      handshakeTimeout: HANDSHAKE,
      maxPayload: LARGEST,
      perMessageDeflate: false,
    });
    this.socket.on("open", () => this.opened());
    this.socket.on("message", (data, isBinary) => this.received(data as Buffer, isBinary));
    this.socket.on("pong", () => engine.core.alive(engine.now()));
    this.socket.on("error", (error) => (this.why ??= new Lost(reasonOf(error))));
    this.socket.on("close", (code, reason) => this.closed(code, reason.toString()));
    this.socket.on("unexpected-response", (_, response) => void this.refused(response));
    over.addEventListener("abort", this.abort);
  }

  /** It is no stream; the answer says why. */
  private async refused(response: IncomingMessage): Promise<void> {
    const deadline = setTimeout(() => this.socket.terminate(), FAREWELL);
    const text = await beginningOf(response);
    clearTimeout(deadline);
    const after = response.headers["retry-after"] ?? null;
    this.why ??= refusal(response.statusCode ?? 0, after, detail(text));
    this.socket.terminate();
  }

  private opened(): void {
    this.engine.core.connect(this.engine.now());
    this.engine.onNews = (urgent) =>
      this.flushing.set(urgent ? this.flushed + PAUSE - performance.now() : MOMENT);
    this.flush();
    this.tick();
  }

  private received(data: Buffer, isBinary: boolean): void {
    if (this.why) return;
    try {
      if (isBinary) throw new BadFrame("a frame is a text");
      this.engine.heard(data.toString());
    } catch (error) {
      this.end(error as Error, error instanceof BadFrame ? NOT_READ : 1000);
    }
    this.tick();
  }

  private flush(): void {
    if (this.socket.readyState !== WebSocket.OPEN) return;
    this.flushed = performance.now();
    while (this.socket.bufferedAmount < FULL) {
      const text = this.engine.core.frame();
      if (text === null) return this.rest();
      this.socket.send(text);
    }
    this.flushing.set(PAUSE);
  }

  /** All is said. */
  private rest(): void {
    if (this.engine.isOver) this.end(null, 1000);
  }

  private tick(): void {
    if (this.why || this.socket.readyState !== WebSocket.OPEN) return;
    const beaten = this.engine.core.due() <= this.engine.now();
    try {
      this.engine.tick();
    } catch (error) {
      this.why = error as Error;
      return this.socket.terminate(); // nobody would answer to a goodbye
    }
    if (beaten) this.socket.ping();
    this.ticking.set(Math.max(10, (this.engine.core.due() - this.engine.now()) * 1_000));
  }

  private end(why: Error | null, code: number): void {
    this.isPuzzled = why instanceof BadFrame;
    this.why ??= this.isPuzzled ? new Lost(`the server is not understood: ${why?.message}`) : why;
    this.socket.close(code);
    this.farewell ??= setTimeout(() => this.socket.terminate(), FAREWELL);
  }

  /** Nobody waits for anything any more. */
  private readonly abort = (): void => this.socket.terminate();

  private closed(code: number, reason: string): void {
    this.flushing.clear();
    this.ticking.clear();
    clearTimeout(this.farewell);
    this.over.removeEventListener("abort", this.abort);
    this.engine.onNews = () => undefined;
    this.engine.core.disconnect();
    if (code === NOT_READ && !this.isPuzzled) this.engine.core.refused(reason || this.why?.message || "");
    if (this.engine.isOver || this.over.aborted) return this.resolve();
    this.reject(this.cause(code, reason));
  }

  private cause(code: number, reason: string): Error {
    const said = reason || this.why?.message || "";
    if (code === NOT_GOOD) return new Dismissed(`${TOKEN_REFUSED} (${said})`);
    if (code === NO_VERSION) return new Dismissed(`no common version of the protocol: ${said}`);
    return this.why ?? new Lost(`the server closed the connection (${code}${said && `, ${said}`})`);
  }
}

async function beginningOf(response: IncomingMessage): Promise<string> {
  let found = "";
  try {
    for await (const piece of response.setEncoding("utf8")) {
      found += piece as string;
      if (found.length > LONGEST_ANSWER) break;
    }
  } catch {
    // What came before it broke is enough.
  }
  return found;
}
