/** Carries out what the core says: runs handlers, and tells it how they end. Knows no socket. */

import { Lost, Dismissed } from "./carriers/carrier.js";
import { Attempt } from "./context.js";
import type { Context } from "./context.js";
import type { Core, Effect } from "./core.js";
import type { Command, Ended, Offer } from "./messages.js";
import { lost, raised, stopped, succeeded, timedOut } from "./telling.js";
import { decode } from "./wire.js";

const MOST_DELAY = 2 ** 31 - 1; // milliseconds that a timer can wait
const LAST_WORDS = 10; // seconds that a handler has to end after its timeout

// Whoever registers a handler says what its payload is.
export type Handler<Payload = any, Result = unknown> = (
  payload: Payload,
  context: Context,
) => Result | Promise<Result>;

interface Hand {
  readonly attempt: Attempt;
  readonly grace: number | null; // seconds from a stop to its end
  verdict: Ended | null; // how it ends, if not by itself
  timer: NodeJS.Timeout | undefined;
}

export class Engine {
  private readonly hands = new Map<string, Hand>();
  private listeners: (() => void)[] = [];
  /** Called when there is something to say; it may wait a moment unless it is `urgent`. */
  onNews: (urgent: boolean) => void = () => undefined;
  /** Called when the server has answered to hello. */
  onWelcome: () => void = () => undefined;
  /** Whether all has been said but what waits to be sent. */
  isOver = false;

  constructor(
    readonly core: Core,
    private readonly handlers: ReadonlyMap<string, Handler>,
    readonly now: () => number,
  ) {}

  /** Acts upon a frame of the server. Throws if the connection is of no use any more. */
  heard(text: string): void {
    const wasWelcome = this.core.isWelcome;
    this.carryOut(this.core.receive(decode(text), this.now()));
    if (!wasWelcome && this.core.isWelcome) this.onWelcome();
  }

  tick(): void {
    this.carryOut(this.core.tick(this.now()));
    if (!this.core.isQuiet) this.onNews(true);
  }

  drain(): void {
    this.core.drain();
    this.onNews(true);
  }

  leave(): void {
    this.isOver = true;
    this.core.leave();
    this.onNews(true);
  }

  /** Resolves when nothing is in hand, and `false` if that takes longer than so many milliseconds. */
  async idle(within: number, over?: AbortSignal): Promise<boolean> {
    return this.reaches(() => this.core.busy === 0, within, over);
  }

  /** Resolves when the server has all ends. */
  async acknowledged(within: number, over?: AbortSignal): Promise<boolean> {
    return this.reaches(() => this.core.unacknowledged === 0, within, over);
  }

  /** Whatever is in hand is to come to its end. */
  stopAll(why: string): void {
    for (const [attempt, hand] of this.hands) this.stop(hand, stopped(attempt, why));
  }

  /** What has not come to its end goes on until the process ends: nobody will know how far it came. */
  giveUpAll(why: string): void {
    for (const [attempt, hand] of [...this.hands]) {
      this.settle(hand, lost(hand.verdict ?? stopped(attempt, why)));
    }
  }

  private carryOut(effects: readonly Effect[]): void {
    let end: Error | null = null;
    for (const effect of effects) {
      switch (effect.do) {
        case "begin":
          void this.begin(effect.offer);
          break;
        case "steer":
          this.steer(effect.command);
          break;
        case "abandon":
          this.abandon(effect.attempt, effect.why);
          break;
        case "cut":
          end = effect.isFinal ? new Dismissed(effect.why) : new Lost(effect.why);
      }
    }
    this.changed();
    if (end) throw end;
    if (!this.core.isQuiet) this.onNews(true);
  }

  private async begin(offer: Offer): Promise<void> {
    const attempt = new Attempt(offer, this);
    const hand: Hand = { attempt, grace: offer.grace ?? null, verdict: null, timer: undefined };
    this.hands.set(offer.attempt, hand);
    if (offer.timeout != null) this.bound(hand, offer.timeout);
    this.settle(hand, await this.carriedOut(offer, hand));
  }

  private async carriedOut(offer: Offer, hand: Hand): Promise<Ended> {
    try {
      const handler = this.handlers.get(offer.action) as Handler;
      const result = await handler(offer.payload, hand.attempt);
      // What was stopped and came to its end all the same has succeeded; what took too long has not.
      return hand.verdict?.ending === "TIMED_OUT" ? hand.verdict : succeeded(offer.attempt, result);
    } catch (error) {
      return hand.verdict ?? raised(offer.attempt, error);
    }
  }

  private bound(hand: Hand, seconds: number): void {
    const milliseconds = seconds * 1_000;
    if (milliseconds > MOST_DELAY) return;
    hand.timer = setTimeout(() => {
      const verdict = timedOut(hand.attempt.attempt, seconds);
      this.stop(hand, verdict);
      this.waitFor(hand, LAST_WORDS, verdict);
    }, milliseconds);
  }

  /** So many seconds; then it ends whatever its handler does. */
  private waitFor(hand: Hand, seconds: number, verdict: Ended): void {
    clearTimeout(hand.timer);
    hand.timer = setTimeout(() => this.settle(hand, verdict), Math.min(seconds * 1_000, MOST_DELAY));
  }

  private steer({ attempt, verb, reason }: Command): void {
    const hand = this.hands.get(attempt);
    if (!hand) return;
    if (verb === "hold") return hand.attempt.hold();
    if (verb === "resume") return hand.attempt.letGo();
    const verdict = stopped(attempt, reason);
    this.stop(hand, verdict);
    if (verb === "kill") this.settle(hand, verdict);
    else if (hand.grace !== null) this.waitFor(hand, hand.grace, hand.verdict ?? verdict);
  }

  private stop(hand: Hand, verdict: Ended): void {
    hand.verdict ??= verdict;
    hand.attempt.stop(verdict.error?.message ?? "stopped");
  }

  private abandon(attempt: string, why: string): void {
    const hand = this.hands.get(attempt);
    if (!hand) return;
    this.release(hand);
    hand.attempt.stop(why);
  }

  /** Once: whatever else becomes of it says nothing any more. */
  private settle(hand: Hand, ended: Ended): void {
    if (this.hands.get(hand.attempt.attempt) !== hand) return;
    this.release(hand);
    this.core.end(ended);
    this.changed();
    this.onNews(true);
  }

  private release(hand: Hand): void {
    clearTimeout(hand.timer);
    this.hands.delete(hand.attempt.attempt);
  }

  // What contexts say.

  progress(progress: Parameters<Core["progress"]>[0]): void {
    if (!this.hands.has(progress.attempt)) return;
    this.core.progress(progress);
    this.onNews(false);
  }

  log(attempt: string, text: string): void {
    if (!this.hands.has(attempt)) return;
    this.core.log(attempt, text);
    this.onNews(false);
  }

  // Waiting for a state.

  private changed(): void {
    for (const each of this.listeners) each();
  }

  private async reaches(isSo: () => boolean, within: number, over?: AbortSignal): Promise<boolean> {
    if (isSo() || over?.aborted) return isSo();
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        over?.removeEventListener("abort", done);
        this.listeners = this.listeners.filter((each) => each !== look);
        resolve(isSo());
      };
      const look = (): void => {
        if (isSo()) done();
      };
      const timer = setTimeout(done, Math.min(within, MOST_DELAY));
      over?.addEventListener("abort", done, { once: true });
      this.listeners.push(look);
    });
  }
}
