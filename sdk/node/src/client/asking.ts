/** One server, and how it is asked: again after a failure, where that can do nothing twice. */

import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { reasonOf } from "../carriers/carrier.js";
import { Deadline } from "../deadline.js";
import type { Place } from "../place.js";
import { ProcessionError, Unreachable, mayPass, refusal } from "./problems.js";

const AGAIN = [200, 1_000, 3_000]; // milliseconds before a question is put again
const PATIENCE = 30; // seconds
const JSON_TYPE = "application/json";

export interface Question {
  readonly method: string;
  readonly path: string;
  readonly params?: Params;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Seconds that the answer is put off, beyond what an answer may take. */
  readonly wait?: number;
  readonly signal?: AbortSignal | undefined;
}

export type Params = Readonly<Record<string, Param | readonly Param[] | null | undefined>>;
type Param = string | number | boolean;

export function get(path: string, params: Params = {}): Question {
  return { method: "GET", path, params };
}

/** With a key of its own if none is given, so that it may be asked again when no answer came. */
export function post(path: string, body: unknown = {}, key?: string): Question {
  const headers = { "Idempotency-Key": key ?? randomUUID(), "Content-Type": JSON_TYPE };
  return { method: "POST", path, headers, body: JSON.stringify(body) };
}

/** A path below the API: each part is one name, whatever is in it. */
export function at(...parts: (string | number)[]): string {
  return ["/api/v1", ...parts.map((each) => encodeURIComponent(each))].join("/");
}

export class Asking {
  constructor(private readonly place: Place) {}

  async json<Found>(question: Question): Promise<Found> {
    const text = await this.text(question);
    return (text === "" ? null : JSON.parse(text)) as Found;
  }

  async text(question: Question): Promise<string> {
    for (const milliseconds of may(question) ? AGAIN : []) {
      try {
        return await this.once(question);
      } catch (error) {
        if (!mayPass(error)) throw error;
      }
      await pause(milliseconds, undefined, { signal: question.signal });
    }
    return this.once(question);
  }

  /** All items of a list, or so many, over as many pages as that takes. */
  async pages<Item>(path: string, params: Params, most = Infinity): Promise<Item[]> {
    const items: Item[] = [];
    for (let cursor: string | null | undefined; ;) {
      const limit = Math.min(200, most - items.length);
      const page: Page<Item> = await this.json(get(path, { ...params, limit, cursor }));
      items.push(...page.items);
      cursor = page.next;
      if (cursor == null || items.length >= most) return items;
    }
  }

  /** An answer whose body is read as it comes. */
  async open(question: Question, signal: AbortSignal): Promise<Response> {
    const answer = await this.fetch(question, signal);
    if (!answer.ok) throw refusal(answer.status, await answer.text());
    return answer;
  }

  unreachable(error: unknown): ProcessionError {
    return new Unreachable(`the server at ${this.place.url} does not answer: ${reasonOf(error)}`);
  }

  private async once(question: Question): Promise<string> {
    const deadline = new Deadline((PATIENCE + (question.wait ?? 0)) * 1_000, question.signal);
    try {
      const answer = await this.fetch(question, deadline.signal);
      const text = await this.asked(question, () => answer.text());
      if (!answer.ok) throw refusal(answer.status, text);
      return text;
    } finally {
      deadline.end();
    }
  }

  private fetch(question: Question, signal: AbortSignal): Promise<Response> {
    const { method, headers, body } = question;
    const url = `${this.place.url}${question.path}${query(question.params ?? {})}`;
    const request = { method, headers: { ...this.place.headers(), ...headers }, signal };
    return this.asked(question, () => fetch(url, body === undefined ? request : { ...request, body }));
  }

  /** What the caller has given up is not an answer that failed. */
  private async asked<Found>(question: Question, ask: () => Promise<Found>): Promise<Found> {
    try {
      return await ask();
    } catch (error) {
      question.signal?.throwIfAborted();
      throw this.unreachable(error);
    }
  }
}

interface Page<Item> {
  readonly items: Item[];
  readonly next?: string | null;
}

function query(params: Params): string {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const each of Array.isArray(value) ? (value as Param[]) : [value as Param]) {
      if (each !== undefined && each !== null) said.append(name, String(each));
    }
  }
  return said.size === 0 ? "" : `?${said.toString()}`;
}

/** What has a key, or changes nothing, may come twice. */
function may({ method, headers }: Question): boolean {
  return method === "GET" || method === "PUT" || headers?.["Idempotency-Key"] !== undefined;
}
