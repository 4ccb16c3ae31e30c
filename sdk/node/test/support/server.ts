/** The server's end of the protocol, as far as a worker sees it: over real sockets, told by a test. */

import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import type { Ended, Frame, FromServer, FromWorker, Hello, Offer } from "../../src/messages.js";
import { FROM_WORKER, decode } from "../../src/wire.js";

export const TOKEN = "pn_worker_of_a_test";
export type Said = Frame<FromWorker>;
type Answer = { status: number; body?: string; headers?: Record<string, string> };

export class FakeServer {
  readonly said: FromWorker[] = [];
  readonly sessions: string[] = [];
  readonly carriers: ("stream" | "poll")[] = [];
  welcome = { protocol: 1, beat: 0.5, lease: 5, clock: 0, poll: 0.02, server: "test" };
  /** Whether ends are acknowledged. */
  acknowledges = true;
  token = TOKEN;
  /** What asks instead of being served, if anything. */
  refuses: (carrier: "stream" | "poll") => Answer | null = () => null;
  private readonly http: Server;
  private readonly sockets = new WebSocketServer({ noServer: true });
  private readonly open = new Set<WebSocket>();
  private readonly deaf = new Set<WebSocket>();
  private outbox: FromServer[] = [];
  private readonly watchers = new Set<() => void>();

  private constructor() {
    this.http = createServer((request, response) => void this.polled(request, response));
    this.http.on("upgrade", (request, socket, head) => {
      const refused = this.refuses("stream") ?? this.unknown(request);
      if (refused) {
        const headers = Object.entries(refused.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
        socket.end(`HTTP/1.1 ${refused.status} Refused\r\n${headers.join("")}Content-Length: 0\r\n\r\n`);
        return;
      }
      this.sockets.handleUpgrade(request, socket, head, (opened) => this.opened(opened));
    });
  }

  static async start(): Promise<FakeServer> {
    const server = new FakeServer();
    server.http.listen(0, "127.0.0.1");
    await once(server.http, "listening");
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  /** Says this to whoever is there, or comes next. */
  say(...messages: FromServer[]): void {
    this.outbox.push(...messages);
    for (const socket of this.open) this.flush(socket);
  }

  offer(attempt: string, action: string, payload: Offer["payload"] = null, more: Partial<Offer> = {}): void {
    this.say(anOffer(attempt, action, payload, more));
  }

  /** As when a network breaks: no goodbye. */
  cut(): void {
    for (const socket of this.open) socket.terminate();
  }

  /** As when a cable is pulled: nothing is heard any more, and nobody is told. */
  deafen(): void {
    for (const socket of this.open) {
      socket.pause();
      this.open.delete(socket);
      this.deaf.add(socket);
    }
  }

  close(code: number, reason = ""): void {
    for (const socket of this.open) socket.close(code, reason);
  }

  get hellos(): Hello[] {
    return this.said.filter((each): each is Hello => each.type === "hello");
  }

  ends(attempt: string): Ended[] {
    return this.said.filter((each): each is Ended => each.type === "ended" && each.attempt === attempt);
  }

  async end(attempt: string): Promise<Ended> {
    return this.until(() => this.ends(attempt).at(-1));
  }

  /** What `look` finds, once it finds something. */
  async until<Found>(look: () => Found | undefined | false): Promise<Found> {
    return new Promise((resolve) => {
      const watch = (): void => {
        const found = look();
        if (found === undefined || found === false) return;
        this.watchers.delete(watch);
        resolve(found);
      };
      this.watchers.add(watch);
      watch();
    });
  }

  async stop(): Promise<void> {
    this.cut();
    for (const socket of this.deaf) socket.terminate();
    this.http.closeAllConnections();
    this.http.close();
    await once(this.http, "close");
  }

  private opened(socket: WebSocket): void {
    this.open.add(socket);
    socket.on("message", (data: Buffer) => {
      this.heard(data.toString(), "stream");
      this.flush(socket);
    });
    socket.on("close", () => {
      this.open.delete(socket);
      this.look();
    });
    this.look();
  }

  get connections(): number {
    return this.open.size;
  }

  private flush(socket: WebSocket): void {
    const isThere = socket.readyState === socket.OPEN && this.sessions.length > 0;
    if (isThere && this.outbox.length > 0) socket.send(this.frame());
  }

  private async polled(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const refused = this.refuses("poll") ?? this.unknown(request);
    if (refused) {
      response.writeHead(refused.status, refused.headers).end(refused.body);
      return;
    }
    this.heard(Buffer.concat(parts).toString(), "poll");
    response.writeHead(200, { "Content-Type": "application/json" }).end(this.frame());
  }

  private heard(text: string, carrier: "stream" | "poll"): void {
    const frame = decode(text, FROM_WORKER) as Said;
    this.carriers.push(carrier);
    if (this.sessions.at(-1) !== frame.session) this.sessions.push(frame.session);
    this.said.push(...frame.messages);
    for (const message of frame.messages) this.answer(message);
    this.look();
  }

  private answer(message: FromWorker): void {
    if (message.type === "hello") this.outbox.unshift({ type: "welcome", ...this.welcome });
    if (message.type === "ended" && this.acknowledges)
      this.outbox.push({ type: "have", attempts: [message.attempt] });
  }

  private unknown(request: IncomingMessage): Answer | null {
    return request.headers.authorization === `Bearer ${this.token}` ? null : { status: 401, body: "{}" };
  }

  private frame(): string {
    const messages = this.outbox;
    this.outbox = [];
    return JSON.stringify({ session: this.sessions.at(-1), messages });
  }

  private look(): void {
    for (const watch of [...this.watchers]) watch();
  }
}

export function anOffer(
  attempt: string,
  action: string,
  payload: Offer["payload"] = null,
  more: Partial<Offer> = {},
): Offer {
  return {
    type: "offer",
    attempt,
    action,
    payload,
    run: "0199a0b0-0000-7000-8000-000000000001",
    task: "it",
    type_name: "orders",
    number: Number(attempt.split(".")[1]),
    key: `key-${attempt.split(".")[0]}`,
    ...more,
  };
}
