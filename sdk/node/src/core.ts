/** What a worker decides: a session from its first hello to its leave. No socket, no clock, no timer.
 *
 * Frames of the server go in and effects come out, for whoever carries out what is offered; what is to
 * be said comes out as frames. A connection may break at any moment: ends are said again with the next
 * hello until the server has them, and what a hello does not name goes back to its queue.
 */

import {
  NEWEST,
  OLDEST,
  type Command,
  type Ended,
  type Frame,
  type FromServer,
  type FromWorker,
  type Hello,
  type Offer,
  type Progress,
  type Verb,
  type Welcome,
} from "./messages.js";
import { Printing } from "./printing.js";
import { untellable } from "./telling.js";
import { MOST, encode, pack } from "./wire.js";

const GREETING = 10; // seconds until an unanswered hello is given up
const SILENCE = 3; // beats without a word until a line counts as cut

/** What a worker is, as it says with each hello. */
export interface Profile {
  readonly name: string;
  readonly slots: number;
  readonly actions: readonly string[];
  readonly sdk: string;
  readonly host?: string;
  readonly pid?: number;
}

export type Effect =
  /** An attempt is in hand from now on. */
  | { readonly do: "begin"; readonly offer: Offer }
  /** Something is wanted of an attempt in hand. */
  | { readonly do: "steer"; readonly command: Command }
  /** It is not ours any more: whatever it does stops, and nothing is said of it. */
  | { readonly do: "abandon"; readonly attempt: string; readonly why: string }
  /** This connection is of no use any more. */
  | { readonly do: "cut"; readonly why: string; readonly isFinal: boolean };

interface Job {
  readonly offer: Offer;
  readonly printing: Printing;
  wanted: Verb | null;
  progress: Progress | null;
}

interface Link {
  since: number;
  heard: number;
  beaten: number;
  welcome: Welcome | null;
}

export class Core {
  session: string;
  private readonly jobs = new Map<string, Job>();
  // Ends as they are said again, behind the last of their logs, until the server has them.
  private readonly untold = new Map<string, readonly string[]>();
  private readonly news = new Set<Job>(); // with progress or a log to say
  private said: string[] = [];
  private link: Link | null = null;
  private isDraining = false;
  private refusals = 0; // frames that the server could not read, since it last acknowledged something

  constructor(
    private readonly profile: Profile,
    private readonly draw: () => string,
  ) {
    this.session = draw();
  }

  /** How many attempts are in hand. */
  get busy(): number {
    return this.jobs.size;
  }

  /** How many ends the server has not acknowledged. */
  get unacknowledged(): number {
    return this.untold.size;
  }

  get isConnected(): boolean {
    return this.link !== null;
  }

  get isWelcome(): boolean {
    return this.link?.welcome != null;
  }

  /** Seconds between two polls. */
  get pace(): number {
    return this.link?.welcome?.poll ?? 1;
  }

  // Connections

  connect(now: number): void {
    this.link = { since: now, heard: now, beaten: now, welcome: null };
    this.said = [];
    this.say(this.hello());
    if (this.isDraining) this.say({ type: "drain" });
    for (const texts of this.untold.values()) this.said.push(...texts);
  }

  /** What was said may have been lost on the way. */
  disconnect(): void {
    this.link = null;
    this.said = [];
    for (const job of this.jobs.values()) {
      job.printing.rewind();
      this.news.add(job);
    }
  }

  /** The other end has shown a sign of life. */
  alive(now: number): void {
    if (this.link) this.link.heard = now;
  }

  /** When there is something to do here, at the latest. */
  due(): number {
    if (!this.link) return Infinity;
    const { since, beaten, welcome } = this.link;
    return welcome ? beaten + welcome.beat : since + GREETING;
  }

  tick(now: number): Effect[] {
    const link = this.link;
    if (!link) return [];
    if (!link.welcome) {
      return now >= link.since + GREETING ? [cut("nobody answers to hello")] : [];
    }
    if (now - link.heard >= SILENCE * link.welcome.beat) return [cut("nothing was heard for too long")];
    if (now >= link.beaten + link.welcome.beat) {
      link.beaten = now;
      this.say({ type: "lease", running: this.running() });
    }
    return [];
  }

  /** The next frame that is to be sent, or null. It counts as sent. */
  frame(): string | null {
    if (!this.link) return null;
    for (const job of this.news) this.said.push(...told(job));
    this.news.clear();
    return this.said.length === 0 ? null : pack(this.session, this.said);
  }

  /** A frame that says nothing, for who only asks. */
  nothing(): string {
    return pack(this.session, []);
  }

  get isQuiet(): boolean {
    return this.said.length === 0 && this.news.size === 0;
  }

  // What the worker says

  /** It counts once it is acknowledged. Of what is not in hand nothing is said. */
  end(ended: Ended): void {
    const job = this.jobs.get(ended.attempt);
    if (!job) return;
    const [news, end] = [told(job), encode(ended)];
    job.printing.rewind();
    const again = this.link ? told(job) : news;
    this.drop(ended.attempt);
    this.untold.set(ended.attempt, [...again, end]);
    if (this.link) this.said.push(...news, end);
  }

  progress(progress: Progress): void {
    const job = this.jobs.get(progress.attempt);
    if (!job) return;
    job.progress = progress;
    this.news.add(job);
  }

  log(attempt: string, text: string): void {
    const job = this.jobs.get(attempt);
    if (!job || text === "") return;
    job.printing.add(text);
    this.news.add(job);
  }

  /** Offers from now on go back; what is in hand goes on. */
  drain(): void {
    if (this.isDraining) return;
    this.isDraining = true;
    this.say({ type: "drain" });
  }

  leave(): void {
    for (const attempt of [...this.jobs.keys()]) this.drop(attempt);
    this.say({ type: "leave" });
  }

  /**
   * The server could not read a frame. What is refused again is said without what the program made:
   * it would keep all other ends from being told.
   */
  refused(why: string): void {
    this.refusals += 1;
    if (this.refusals < 2) return;
    for (const attempt of this.untold.keys()) this.untold.set(attempt, [untellable(attempt, why)]);
  }

  // What the server says

  /** Frames of another session say nothing to this one. */
  receive(frame: Frame<FromServer>, now: number): Effect[] {
    const effects: Effect[] = [];
    if (!this.link || frame.session !== this.session) return effects;
    this.link.heard = now;
    for (const message of frame.messages) {
      if (this.link && frame.session === this.session) effects.push(...this.take(message));
    }
    return effects;
  }

  private take(message: FromServer): Effect[] {
    switch (message.type) {
      case "offer":
        return this.offered(message);
      case "have":
        return this.acknowledged(message.attempts);
      case "command":
        return this.commanded(message);
      case "welcome":
        return this.welcomed(message);
      case "forget":
        return this.forgotten([message.attempt]);
      case "bye":
        return message.fenced ? this.fenced(message.why) : [cut(message.why)];
      default:
        return []; // of a workflow, which nobody here carries out
    }
  }

  private welcomed(welcome: Welcome): Effect[] {
    if (welcome.protocol < OLDEST || welcome.protocol > NEWEST) {
      return [cut(`the server speaks version ${welcome.protocol} of the protocol`, true)];
    }
    if (this.link) this.link.welcome = welcome;
    return this.forgotten(welcome.forget ?? []);
  }

  private offered(offer: Offer): Effect[] {
    if (this.jobs.has(offer.attempt) || this.untold.has(offer.attempt)) return [];
    const why = this.objection(offer);
    if (why) {
      this.say({ type: "back", attempt: offer.attempt, why });
      return [];
    }
    this.jobs.set(offer.attempt, { offer, printing: new Printing(), wanted: null, progress: null });
    return [{ do: "begin", offer }];
  }

  private objection(offer: Offer): string | null {
    if (this.isDraining) return "this worker is about to leave";
    if (offer.workflow != null) return "this worker carries out actions, not workflows";
    if (!this.profile.actions.includes(offer.action)) return `nobody serves ${offer.action} here`;
    if (this.jobs.size >= this.profile.slots) return `all ${this.profile.slots} slots are taken`;
    // A hello has to be able to name them all.
    if (this.jobs.size + this.untold.size >= MOST) return "too many ends are not acknowledged";
    return null;
  }

  private acknowledged(attempts: readonly string[]): Effect[] {
    this.refusals = 0;
    for (const attempt of attempts) this.untold.delete(attempt);
    return [];
  }

  /** Once, however often it is repeated. */
  private commanded(command: Command): Effect[] {
    const job = this.jobs.get(command.attempt);
    if (!job || job.wanted === command.verb || (isFinal(job.wanted) && command.verb !== "kill")) return [];
    job.wanted = command.verb;
    return [{ do: "steer", command }];
  }

  private forgotten(attempts: readonly string[]): Effect[] {
    const effects: Effect[] = [];
    for (const attempt of attempts) {
      this.untold.delete(attempt);
      if (this.drop(attempt)) effects.push(abandon(attempt, "it is not this worker's any more"));
    }
    return effects;
  }

  /** Others may do what was in hand here; this worker begins anew. */
  private fenced(why: string): Effect[] {
    const ours = [...this.jobs.keys()];
    for (const attempt of ours) this.drop(attempt);
    this.untold.clear();
    this.said = [];
    this.session = this.draw();
    return [...ours.map((each) => abandon(each, `it was given to others: ${why}`)), cut(why)];
  }

  /** Whether it was in hand. */
  private drop(attempt: string): boolean {
    const job = this.jobs.get(attempt);
    if (job) this.news.delete(job);
    return this.jobs.delete(attempt);
  }

  private running(): string[] {
    return [...this.jobs.keys(), ...this.untold.keys()];
  }

  private hello(): Hello {
    const { name, slots, actions, sdk, host, pid } = this.profile;
    return {
      type: "hello",
      oldest: OLDEST,
      newest: NEWEST,
      name,
      slots,
      actions,
      workflows: [],
      running: this.running(),
      sdk,
      ...(host === undefined ? {} : { host }),
      ...(pid === undefined ? {} : { pid }),
    };
  }

  private say(message: FromWorker): void {
    if (this.link) this.said.push(encode(message));
  }
}

/** What a job has to say beside its end; it is said then. */
function told(job: Job): string[] {
  const { attempt } = job.offer;
  const logs = job.printing.take().map((each) => encode({ type: "log", attempt, ...each }));
  const progress = job.progress ? [encode(job.progress)] : [];
  job.progress = null;
  return [...logs, ...progress];
}

function isFinal(verb: Verb | null): boolean {
  return verb === "stop" || verb === "kill";
}

function cut(why: string, isFinal = false): Effect {
  return { do: "cut", why, isFinal };
}

function abandon(attempt: string, why: string): Effect {
  return { do: "abandon", attempt, why };
}
