/** Frames over requests, where a WebSocket does not get through. */

import { Deadline } from "../deadline.js";
import type { Engine } from "../engine.js";
import type { Place } from "../place.js";
import { BadFrame } from "../wire.js";
import { Alarm, Lost, detail, reasonOf, refusal } from "./carrier.js";

const PAUSE = 5; // milliseconds between two polls, which gathers what is said meanwhile
const MOMENT = 100; // milliseconds that what is not urgent may wait
const PATIENCE = 30_000; // milliseconds for one poll

export async function poll(engine: Engine, place: Place, over: AbortSignal): Promise<void> {
  const pulse = new Pulse(over);
  engine.onNews = (urgent) => pulse.beat(urgent ? PAUSE : MOMENT);
  engine.core.connect(engine.now());
  try {
    while (!over.aborted) {
      await exchange(engine, place, over);
      if (engine.isOver && engine.core.isQuiet) return;
      pulse.beat(engine.core.isQuiet ? engine.core.pace * 1_000 : PAUSE);
      await pulse.next();
    }
  } finally {
    pulse.end();
    engine.onNews = () => undefined;
    engine.core.disconnect();
  }
}

async function exchange(engine: Engine, place: Place, over: AbortSignal): Promise<void> {
  engine.core.alive(engine.now()); // it answers when it is asked, and no sooner
  engine.tick();
  const { status, after, text } = await ask(place, engine.core.frame() ?? engine.core.nothing(), over);
  if (status !== 200) {
    if (status === 422) engine.core.refused(text);
    throw refusal(status, after, detail(text));
  }
  try {
    engine.heard(text);
  } catch (error) {
    if (!(error instanceof BadFrame)) throw error;
    throw new Lost(`the server is not understood: ${error.message}`);
  }
  if (!engine.core.isWelcome) throw new Lost("the server did not answer to hello");
}

async function ask(place: Place, body: string, over: AbortSignal): Promise<Answer> {
  const headers = { ...place.headers(), "Content-Type": "application/json" };
  const deadline = new Deadline(PATIENCE, over);
  const request = { method: "POST", headers, body, signal: deadline.signal, redirect: "error" } as const;
  try {
    const answer = await fetch(place.poll, request);
    return { status: answer.status, after: answer.headers.get("retry-after"), text: await answer.text() };
  } catch (error) {
    throw new Lost(reasonOf(error));
  } finally {
    deadline.end();
  }
}

interface Answer {
  readonly status: number;
  readonly after: string | null;
  readonly text: string;
}

/** Wakes who waits for it, at the earliest moment that it was told. */
class Pulse {
  private wake: () => void = () => undefined;
  private readonly alarm = new Alarm(() => this.rung());
  private hasRung = false;

  constructor(private readonly over: AbortSignal) {
    over.addEventListener("abort", this.rung);
  }

  beat(delay: number): void {
    this.alarm.set(delay);
  }

  async next(): Promise<void> {
    if (!this.hasRung && !this.over.aborted) await new Promise<void>((resolve) => (this.wake = resolve));
    this.hasRung = false;
    this.alarm.clear();
  }

  end(): void {
    this.alarm.clear();
    this.over.removeEventListener("abort", this.rung);
  }

  private readonly rung = (): void => {
    this.hasRung = true;
    this.wake();
  };
}
