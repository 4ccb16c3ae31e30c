/** Frames as texts. What comes from the other end is checked before anything of it counts.
 *
 * Messages and fields that are not known are passed over, so one end may be newer; what is known has
 * to be right, or nothing of the frame is acted upon.
 */

import type { FromServer, FromWorker, Frame } from "./messages.js";
import {
  Unfit,
  flag,
  isObject,
  json,
  number,
  object,
  oneOf,
  shaped,
  text,
  whole,
  type Check,
} from "./values.js";

export const LARGEST = 1 << 20; // bytes of a frame
export const MOST = 1_000; // messages of a frame, or elements of one of its lists
export const MOST_MESSAGE = LARGEST - (16 << 10); // bytes of one message

/** Says where in a frame what is wrong. */
export class BadFrame extends Unfit {
  override readonly name = "BadFrame";
}

type Fields = Readonly<Record<string, Check>>;
type Spoken = Readonly<Record<string, Check>>;

function list(of: Check): Check {
  return (told, where) => {
    if (!Array.isArray(told) || told.length > MOST) {
      throw new Unfit(`${where}: a list of ${MOST} at most is due`);
    }
    told.forEach((each, place) => of(each, `${where}[${place}]`));
  };
}

/** An object with all of `due`, and with those of `known` that it likes, which may be null. */
function record(due: Fields, known: Fields = {}): Check {
  const [needed, optional] = [Object.entries(due), Object.entries(known)];
  return (told, where) => {
    if (!isObject(told)) throw new Unfit(`${where}: an object is due`);
    for (const [name, check] of needed) {
      if (!Object.hasOwn(told, name)) throw new Unfit(`${where}.${name} is missing`);
      check(told[name], `${where}.${name}`);
    }
    for (const [name, check] of optional) {
      if (told[name] !== undefined && told[name] !== null) check(told[name], `${where}.${name}`);
    }
  };
}

export const attempt = shaped(/^[1-9][0-9]{0,17}\.[1-9][0-9]{0,8}$/, "an attempt, TASK.NUMBER, is due");
export const servedName = shaped(
  /^[a-z0-9][a-z0-9._-]{0,62}$/,
  "a name is 1 to 63 of a-z, 0-9, '.', '-' and '_', and begins with a letter or digit",
);
export const workerName = shaped(
  /^[!-~]([ -~]{0,98}[!-~])?$/,
  "a worker's name is 1 to 100 printable ASCII characters",
);
const session = shaped(
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  "a UUID is due, in small letters",
);
const HIGHEST_INT = 2 ** 31 - 1;
const real = number(-1e15, 1e15);
const words = text(0, 2_000);
const short = text(0, 200);
const seq = whole(1, HIGHEST_INT);
const error = record({ type: short, message: words }, { trace: text(0, 16_000) });
const done = record(
  {
    seq,
    kind: oneOf("step", "moment", "patch", "send", "set", "write"),
    name: short,
    ok: flag,
  },
  { output: json, error, input: json, tries: whole(0, HIGHEST_INT), began: real, over: real, effect: object },
);
const known = record({ seq, kind: text(), name: text() }, { order: whole(), ok: flag, output: json, error });

export const FROM_WORKER: Spoken = {
  hello: record(
    {
      oldest: whole(),
      newest: whole(),
      name: workerName,
      slots: whole(1, 1_000),
      actions: list(servedName),
      workflows: list(record({ definition: object }, { version: short })),
      running: list(attempt),
      sdk: short,
    },
    { host: short, pid: whole(0, HIGHEST_INT) },
  ),
  lease: record({ running: list(attempt) }),
  ended: record(
    { attempt, ending: oneOf("SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED") },
    { output: json, error, retryable: flag, lost: flag },
  ),
  back: record({ attempt }, { why: words }),
  progress: record({ attempt }, { percent: number(0, 100), message: words, data: object }),
  log: record({ attempt, offset: whole(0, 2 ** 50), text: text() }),
  drain: record({}),
  leave: record({}),
  record: record({ attempt, calls: list(done) }),
  call: record({ attempt, seq, name: short, task: object }),
  give_up: record({ attempt, seq }),
  park: record({ attempt, seqs: list(seq) }),
  diverged: record({ attempt, seq, expected: words, found: words }),
};

export const FROM_SERVER: Spoken = {
  welcome: record(
    { protocol: whole(), beat: real, lease: real, clock: real, poll: real, server: text() },
    { forget: list(attempt) },
  ),
  offer: record(
    {
      attempt,
      action: text(),
      payload: json,
      run: text(),
      task: text(),
      type_name: text(),
      number: whole(),
      key: text(),
    },
    { timeout: real, workflow: object, grace: real },
  ),
  command: record({ attempt, verb: oneOf("stop", "kill", "hold", "resume"), reason: text() }),
  have: record({ attempts: list(attempt) }),
  forget: record({ attempt }),
  bye: record({ why: text(), fenced: flag }),
  history: record({ attempt, calls: list(known) }),
  recorded: record({ attempt, calls: list(record({ seq, order: whole() })) }),
  resolved: record({ attempt, seq, order: whole(), ok: flag }, { output: json, error }),
  parked: record({ attempt }),
};

/** A frame of the server's, or of whoever speaks otherwise, with the messages that are known. */
export function decode(told: string): Frame<FromServer>;
export function decode(told: string, spoken: Spoken): Frame<FromServer | FromWorker>;
export function decode(told: string, spoken: Spoken = FROM_SERVER): Frame<FromServer | FromWorker> {
  if (told.length > LARGEST || Buffer.byteLength(told) > LARGEST) {
    throw new BadFrame(`a frame has ${LARGEST} bytes at most`);
  }
  const found = parsed(told);
  try {
    return frame(found, spoken);
  } catch (error) {
    throw error instanceof Unfit ? new BadFrame(error.message) : error;
  }
}

function parsed(told: string): unknown {
  try {
    return JSON.parse(told);
  } catch (error) {
    throw new BadFrame(`not JSON: ${String(error).slice(0, 200)}`);
  }
}

function frame(told: unknown, spoken: Spoken): Frame<FromServer | FromWorker> {
  if (!isObject(told)) throw new Unfit("a frame is an object");
  const { messages } = told;
  session(told["session"], "session");
  if (!Array.isArray(messages) || messages.length > MOST) {
    throw new Unfit(`messages: a list of ${MOST} at most is due`);
  }
  const meant = messages.filter((each, place) => isKnown(each, `messages[${place}]`, spoken));
  return { session: told["session"] as string, messages: meant };
}

/** Whether this version knows it; throws if it does, and it is not right. */
function isKnown(told: unknown, where: string, spoken: Spoken): boolean {
  if (!isObject(told) || typeof told["type"] !== "string") {
    throw new Unfit(`${where}.type: a text is due`);
  }
  if (!Object.hasOwn(spoken, told["type"])) return false;
  spoken[told["type"]]?.(told, where);
  return true;
}

export function encode(message: FromWorker): string {
  return JSON.stringify(message);
}

/** The beginning of `said` that one frame can carry, taken out of it. */
export function pack(session: string, said: string[]): string {
  let size = Buffer.byteLength(session) + 64;
  let count = 0;
  for (const each of said) {
    size += Buffer.byteLength(each) + 1;
    if (count === MOST || (count > 0 && size > LARGEST)) break;
    count += 1;
  }
  return `{"session":${JSON.stringify(session)},"messages":[${said.splice(0, count).join(",")}]}`;
}
