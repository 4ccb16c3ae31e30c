import assert from "node:assert/strict";
import { test } from "node:test";
import { Core, type Effect } from "../src/core.js";
import type { Frame, FromServer, FromWorker } from "../src/messages.js";
import { succeeded } from "../src/telling.js";
import { FROM_WORKER, MOST, decode } from "../src/wire.js";
import { anOffer } from "./support/server.js";

const WELCOME = {
  type: "welcome",
  protocol: 1,
  beat: 5,
  lease: 20,
  clock: 0,
  poll: 1,
  server: "test",
} as const;

function aSession(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

class World {
  private sessions = 0;
  readonly core: Core;
  now = 100;

  constructor(slots = 4) {
    const profile = { name: "w", slots, actions: ["step1"], sdk: "node/test" };
    this.core = new Core(profile, () => aSession((this.sessions += 1)));
  }

  static connected(slots?: number): World {
    const world = new World(slots);
    world.core.connect(world.now);
    world.said();
    world.hear(WELCOME);
    return world;
  }

  hear(...messages: FromServer[]): Effect[] {
    return this.core.receive({ session: this.core.session, messages }, this.now);
  }

  frames(): Frame<FromWorker>[] {
    const found: Frame<FromWorker>[] = [];
    for (let text = this.core.frame(); text !== null; text = this.core.frame()) {
      found.push(decode(text, FROM_WORKER) as Frame<FromWorker>);
    }
    return found;
  }

  said(): FromWorker[] {
    return this.frames().flatMap((each) => each.messages);
  }

  reconnect(): FromWorker[] {
    this.core.disconnect();
    this.core.connect(this.now);
    return this.said();
  }
}

test("a connection begins with a hello that names all that is in hand", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"), anOffer("2.1", "step1"));
  world.core.end(succeeded("2.1", "done"));
  const [hello] = world.reconnect();
  assert.ok(hello?.type === "hello");
  assert.deepEqual(hello.running, ["1.1", "2.1"]);
});

test("an end is said again with each hello until the server has it, and never after", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  world.core.end(succeeded("1.1", "done"));
  assert.equal(world.said().length, 1);
  assert.deepEqual(world.said(), []);
  const again = world.reconnect();
  assert.deepEqual(
    again.map((each) => each.type),
    ["hello", "ended"],
  );
  world.hear(WELCOME, { type: "have", attempts: ["1.1"] });
  assert.deepEqual(
    world.reconnect().map((each) => each.type),
    ["hello"],
  );
});

test("an offer begins once, however often it is made", () => {
  const world = World.connected();
  assert.equal(world.hear(anOffer("1.1", "step1"), anOffer("1.1", "step1")).length, 1);
  world.core.end(succeeded("1.1", null));
  assert.deepEqual(world.hear(anOffer("1.1", "step1")), []);
});

test("what cannot be taken is handed back with the reason", () => {
  const world = World.connected(1);
  world.hear(anOffer("1.1", "step1"), anOffer("2.1", "step1"), anOffer("3.1", "step2"));
  world.hear(anOffer("4.1", "step1", null, { workflow: { calls: 0 } }));
  const backs = world.said();
  assert.deepEqual(
    backs.map((each) => "attempt" in each && each.attempt),
    ["2.1", "3.1", "4.1"],
  );
  assert.match(JSON.stringify(backs), /slots are taken.*step2.*workflows/);
});

test("no more is taken than a hello can name", () => {
  const world = World.connected(1_000);
  for (let number = 1; number <= MOST; number += 1) {
    world.hear(anOffer(`${number}.1`, "step1"));
    world.core.end(succeeded(`${number}.1`, null));
  }
  world.said();
  assert.deepEqual(world.hear(anOffer("5000.1", "step1")), []);
  assert.equal(world.said()[0]?.type, "back");
  const [hello] = world.reconnect();
  assert.ok(hello?.type === "hello" && hello.running.length === MOST);
});

test("a lease is said every beat and names what is in hand", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  world.now += 4.9;
  world.core.tick(world.now);
  assert.deepEqual(world.said(), []);
  world.now += 0.2;
  world.core.tick(world.now);
  assert.deepEqual(world.said(), [{ type: "lease", running: ["1.1"] }]);
  assert.equal(world.core.due(), world.now + 5);
});

test("a line on which nothing was heard for three beats is cut, and so is a hello that nobody answers", () => {
  const world = World.connected();
  assert.deepEqual(
    world.core.tick(world.now + 14.9).filter((each) => each.do === "cut"),
    [],
  );
  assert.equal(world.core.tick(world.now + 15)[0]?.do, "cut");
  world.core.alive(world.now + 15);
  assert.deepEqual(world.core.tick(world.now + 16), []);
  const silent = new World();
  silent.core.connect(0);
  assert.deepEqual(silent.core.tick(9.9), []);
  assert.equal(silent.core.tick(10)[0]?.do, "cut");
});

test("who is fenced stops all it has, says nothing of it, and begins another session", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"), anOffer("2.1", "step1"));
  world.core.end(succeeded("2.1", "done"));
  const before = world.core.session;
  const effects = world.hear({ type: "bye", why: "silent for 20 s", fenced: true });
  assert.deepEqual(
    effects.map((each) => each.do),
    ["abandon", "cut"],
  );
  assert.notEqual(world.core.session, before);
  world.core.end(succeeded("1.1", "late"));
  const said = world.reconnect();
  assert.equal(said.length, 1);
  assert.ok(said[0]?.type === "hello" && said[0].running.length === 0);
});

test("a goodbye that fences nobody leaves all in hand", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  const effects = world.hear({ type: "bye", why: "the server is stopping", fenced: false });
  assert.deepEqual(
    effects.map((each) => each.do),
    ["cut"],
  );
  assert.equal(world.core.busy, 1);
});

test("what a welcome forgets is stopped, and nothing is said of it", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"), anOffer("2.1", "step1"));
  world.core.end(succeeded("2.1", null));
  world.core.disconnect();
  world.core.connect(world.now);
  const effects = world.hear({ ...WELCOME, forget: ["1.1", "2.1"] });
  assert.deepEqual(
    effects.map((each) => each.do),
    ["abandon"],
  );
  assert.equal(world.core.unacknowledged, 0);
});

test("frames of another session say nothing", () => {
  const world = World.connected();
  assert.deepEqual(world.core.receive({ session: aSession(99), messages: [anOffer("1.1", "step1")] }, 0), []);
});

test("a command counts once, and a stop is followed by nothing but a kill", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  const verbs = (["hold", "hold", "resume", "stop", "stop", "hold", "kill", "kill"] as const).filter(
    (verb) => world.hear({ type: "command", attempt: "1.1", verb, reason: "" }).length > 0,
  );
  assert.deepEqual(verbs, ["hold", "resume", "stop", "kill"]);
  assert.deepEqual(world.hear({ type: "command", attempt: "9.1", verb: "stop", reason: "" }), []);
});

test("who drains hands offers back, also on the next connection", () => {
  const world = World.connected();
  world.core.drain();
  world.core.drain();
  world.hear(anOffer("1.1", "step1"));
  assert.deepEqual(
    world.said().map((each) => each.type),
    ["drain", "back"],
  );
  assert.deepEqual(
    world.reconnect().map((each) => each.type),
    ["hello", "drain"],
  );
});

test("of progress the newest is said, and nothing of what is not in hand", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  world.core.progress({ type: "progress", attempt: "1.1", percent: 10 });
  world.core.progress({ type: "progress", attempt: "1.1", percent: 20 });
  world.core.progress({ type: "progress", attempt: "9.1", percent: 30 });
  assert.deepEqual(world.said(), [{ type: "progress", attempt: "1.1", percent: 20 }]);
});

test("a log is said in pieces that count bytes, before the end, and cuts no character", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  const text = `${"ü".repeat(1_000)}${"\u{1f600}".repeat(40_000)}end`;
  world.core.log("1.1", text);
  world.core.end(succeeded("1.1", null));
  const said = world.said();
  assert.equal(said.at(-1)?.type, "ended");
  let offset = 0;
  let joined = "";
  for (const each of said) {
    if (each.type !== "log") continue;
    assert.equal(each.offset, offset);
    offset += Buffer.byteLength(each.text);
    joined += each.text;
  }
  assert.equal(joined, text);
});

test("a log that was printed while nobody listened is said later, also of what has ended", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  world.core.log("1.1", "said before\n");
  world.said();
  world.core.disconnect();
  world.core.log("1.1", "one\n".repeat(50_000));
  world.core.end(succeeded("1.1", null));
  world.core.connect(world.now);
  const said = world.said();
  assert.deepEqual([said.at(0)?.type, said.at(-1)?.type], ["hello", "ended"]);
  const printed = said.map((each) => (each.type === "log" ? each.text : "")).join("");
  assert.equal(printed, `said before\n${"one\n".repeat(50_000)}`);
});

test("the last of a log is said again after a cut, also behind its end: nobody acknowledges it", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"), anOffer("2.1", "step1"));
  world.core.log("1.1", "x".repeat(60_000));
  world.said();
  for (const attempt of ["1.1", "2.1"]) world.core.log(attempt, "one\n");
  world.said();
  world.core.log("2.1", "two\n");
  world.core.end(succeeded("2.1", null));
  world.said();
  assert.deepEqual(world.reconnect().slice(1), [
    { type: "log", attempt: "2.1", offset: 0, text: "one\n" },
    { type: "log", attempt: "2.1", offset: 4, text: "two\n" },
    { type: "ended", attempt: "2.1", ending: "SUCCEEDED", output: null },
    { type: "log", attempt: "1.1", offset: 60_000, text: "one\n" },
  ]);
});

test("a log that nobody takes does not grow for ever, and shows where something is missing", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  world.core.disconnect();
  for (let times = 0; times < 20; times += 1) world.core.log("1.1", "x".repeat(100_000));
  world.core.connect(world.now);
  world.said();
  world.core.log("1.1", "on");
  assert.deepEqual(world.said(), [{ type: "log", attempt: "1.1", offset: 2_000_000, text: "on" }]);
});

test("what the server cannot read twice is said without what the program made", () => {
  const world = World.connected();
  world.hear(anOffer("1.1", "step1"));
  world.core.end(succeeded("1.1", { poison: true }));
  world.core.refused("messages[1].output");
  assert.match(JSON.stringify(world.reconnect()), /poison/);
  world.core.refused("messages[1].output");
  const said = JSON.stringify(world.reconnect());
  assert.doesNotMatch(said, /poison/);
  assert.match(said, /EndNotReadable/);
});

test("a server of another version is not asked again", () => {
  const world = new World();
  world.core.connect(0);
  assert.deepEqual(world.hear({ ...WELCOME, protocol: 2 }), [
    { do: "cut", why: "the server speaks version 2 of the protocol", isFinal: true },
  ]);
});
