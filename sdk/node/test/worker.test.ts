import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { Failure, Dismissed, Worker, type Context, type WorkerOptions } from "../src/index.js";
import { FakeServer, TOKEN } from "./support/server.js";

interface Started {
  worker: Worker;
  ended: Promise<void>;
  reports: string[];
}

type Handlers = Record<string, (payload: never, context: Context) => unknown>;

function started(server: FakeServer, handlers: Handlers, options: WorkerOptions = {}): Started {
  const reports: string[] = [];
  const worker = new Worker({
    url: server.url,
    token: TOKEN,
    signals: false,
    report: (line) => reports.push(line),
    ...options,
  });
  for (const [action, handler] of Object.entries(handlers)) worker.register(action, handler);
  return { worker, ended: worker.start(), reports };
}

/** A promise that a test settles. */
function gate(): { open: () => void; opened: Promise<void> } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

async function stopped(context: Context): Promise<never> {
  return new Promise((_, reject) => {
    context.signal.addEventListener("abort", () => reject(context.signal.reason as Error));
  });
}

for (const carrier of ["stream", "poll"] as const) {
  describe(`over ${carrier === "poll" ? "polls" : "a stream"}`, () => {
    let server: FakeServer;
    before(async () => void (server = await FakeServer.start()));
    beforeEach(() => server.until(() => server.connections === 0));
    after(() => server.stop());

    test("texts and JSON come and go, with all that a handler may know", async () => {
      const seen: unknown[] = [];
      const { worker, ended } = started(
        server,
        {
          step1: (payload: string, context) => {
            seen.push([
              context.run,
              context.task,
              context.type,
              context.number,
              context.key,
              context.attempt,
            ]);
            return `${payload}, done`;
          },
          step2: async (payload: { of: number[] }) => ({ sum: payload.of.reduce((sum, each) => sum + each) }),
        },
        { carrier, name: "first", slots: 3 },
      );
      server.offer("1.7", "step1", "it");
      server.offer("2.1", "step2", { of: [1, 2, 3] });
      assert.deepEqual((await server.end("1.7")).output, "it, done");
      assert.deepEqual((await server.end("2.1")).output, { sum: 6 });
      assert.deepEqual(seen, [["0199a0b0-0000-7000-8000-000000000001", "it", "orders", 7, "key-1", "1.7"]]);
      await worker.stop();
      await ended;
      const [hello] = server.hellos;
      assert.deepEqual(
        [hello?.name, hello?.slots, hello?.actions, hello?.pid],
        ["first", 3, ["step1", "step2"], process.pid],
      );
      const said = server.said.map((each) => each.type).filter((each) => each !== "lease");
      assert.deepEqual(said.slice(-2), ["drain", "leave"]);
    });

    test("an exception is a failure with its type, message and trace", async () => {
      class CardDeclined extends Error {}
      const { worker, ended } = started(
        server,
        {
          step1: () => {
            throw new CardDeclined("no money", { cause: new RangeError("0 left") });
          },
          step2: () => Promise.reject(new Failure("never again", { retryable: false, type: "Gone" })),
          step3: () => Promise.reject("a text"),
        },
        { carrier },
      );
      for (const number of [1, 2, 3]) server.offer(`1${number}.1`, `step${number}`);
      const [first, second, third] = [
        await server.end("11.1"),
        await server.end("12.1"),
        await server.end("13.1"),
      ];
      assert.deepEqual(
        [first.ending, first.error?.type, first.error?.message],
        ["FAILED", "CardDeclined", "no money"],
      );
      assert.match(first.error?.trace ?? "", /worker\.test\.js[^]*caused by: RangeError: 0 left/);
      assert.equal(first.retryable, true);
      assert.deepEqual([second.error?.type, second.retryable], ["Gone", false]);
      assert.deepEqual([third.error?.type, third.error?.message], ["Error", "thrown: a text"]);
      await worker.stop();
      await ended;
    });

    test("what a handler says of itself arrives before its end", async () => {
      const { worker, ended } = started(
        server,
        {
          step1: (_: null, context) => {
            context.progress(50, "half", { rows: 7 });
            context.log("%d rows", 7);
            context.log("and an object", { a: 1 });
          },
        },
        { carrier },
      );
      server.offer("21.1", "step1");
      const end = await server.end("21.1");
      assert.equal(end.output, null);
      const said = server.said.filter((each) => "attempt" in each && each.attempt === "21.1");
      assert.deepEqual(said.slice(0, -1), [
        { type: "log", attempt: "21.1", offset: 0, text: "7 rows\nand an object { a: 1 }\n" },
        { type: "progress", attempt: "21.1", percent: 50, message: "half", data: { rows: 7 } },
      ]);
      await worker.stop();
      await ended;
    });

    test("a stop reaches the handler, which may answer it within its grace; a kill waits for nobody", async () => {
      const never = gate();
      const { worker, ended } = started(
        server,
        {
          step1: (_: null, context) => stopped(context),
          step2: async (_: null, context) => stopped(context).catch(() => "saved what there was"),
          step3: () => never.opened,
        },
        { carrier },
      );
      for (const number of [1, 2, 3]) server.offer(`3${number}.1`, `step${number}`);
      server.offer("34.1", "step3", null, { grace: 0.05 });
      server.say({ type: "command", attempt: "34.1", verb: "stop", reason: "in time" });
      for (const number of [1, 2])
        server.say({ type: "command", attempt: `3${number}.1`, verb: "stop", reason: "enough" });
      server.say({ type: "command", attempt: "33.1", verb: "kill", reason: "now" });
      const first = await server.end("31.1");
      assert.deepEqual([first.ending, first.error?.message], ["STOPPED", "enough"]);
      const second = await server.end("32.1");
      assert.deepEqual([second.ending, second.output], ["SUCCEEDED", "saved what there was"]);
      assert.equal((await server.end("33.1")).ending, "STOPPED");
      const late = await server.end("34.1");
      assert.deepEqual([late.ending, late.error?.message, late.lost], ["STOPPED", "in time", undefined]);
      never.open();
      await worker.stop();
      await ended;
      assert.equal(server.ends("33.1").length, 1);
    });

    test("what takes longer than it may has timed out, whatever comes of it later", async () => {
      const { worker, ended } = started(
        server,
        { step1: async (_: null, context) => stopped(context).catch(() => "too late") },
        { carrier },
      );
      server.offer("41.1", "step1", null, { timeout: 0.05 });
      const end = await server.end("41.1");
      assert.deepEqual([end.ending, end.error?.type], ["TIMED_OUT", "TimedOut"]);
      await worker.stop();
      await ended;
    });

    test("who is held waits at its checkpoint until it may go on", async () => {
      const [begun, held] = [gate(), gate()];
      const passed: string[] = [];
      const { worker, ended } = started(
        server,
        {
          step1: async (_: null, context) => {
            begun.open();
            while (!context.isHeld) await new Promise((resolve) => setImmediate(resolve));
            held.open();
            await context.checkpoint();
            passed.push("resumed");
          },
        },
        { carrier },
      );
      server.offer("51.1", "step1");
      await begun.opened;
      server.say({ type: "command", attempt: "51.1", verb: "hold", reason: "" });
      await held.opened;
      assert.deepEqual(passed, []);
      server.say({ type: "command", attempt: "51.1", verb: "resume", reason: "" });
      await server.end("51.1");
      assert.deepEqual(passed, ["resumed"]);
      await worker.stop();
      await ended;
    });

    test("results that nothing could carry are failures that no other attempt can mend", async () => {
      const circle: Record<string, unknown> = {};
      circle["self"] = circle;
      const results = [circle, 1n, "a\0b", "x".repeat(1 << 20), 2 ** 64, "\ud800"];
      const { worker, ended } = started(server, { step1: (place: number) => results[place] }, { carrier });
      for (const place of results.keys()) server.offer(`6${place + 1}.1`, "step1", place);
      for (const place of results.keys()) {
        const end = await server.end(`6${place + 1}.1`);
        assert.deepEqual([end.ending, end.retryable], ["FAILED", false], end.error?.message);
        assert.match(end.error?.type ?? "", /^Result(NotJson|TooLarge)$/);
      }
      await worker.stop();
      await ended;
    });
  });
}

describe("a worker", () => {
  let server: FakeServer;
  before(async () => void (server = await FakeServer.start()));
  beforeEach(() => server.until(() => server.connections === 0));
  after(() => server.stop());

  test("says ends again after its connection broke, until the server has them", async () => {
    server.acknowledges = false;
    const { worker, ended, reports } = started(server, { step1: () => "kept" });
    server.offer("101.1", "step1");
    await server.end("101.1");
    server.cut();
    await server.until(() => server.ends("101.1").length >= 2);
    assert.deepEqual(server.hellos.at(-1)?.running, ["101.1"]);
    assert.equal(new Set(server.sessions).size, 1);
    assert.match(reports.join("\n"), /again in \d\.\d s/);
    server.acknowledges = true;
    server.cut();
    await server.until(() => server.ends("101.1").length >= 3);
    const hellos = server.hellos.length;
    await server.until(() => {
      const last = server.said.at(-1);
      return last?.type === "lease" && last.running.length === 0;
    });
    server.cut();
    await server.until(() => server.hellos.length > hellos);
    assert.deepEqual(server.hellos.at(-1)?.running, []);
    await worker.stop();
    await ended;
  });

  test("comes back over another connection when nothing is heard on one", async () => {
    const { worker, ended } = started(server, { step1: () => "kept" });
    await server.until(() => server.said.at(-1)?.type === "lease");
    const hellos = server.hellos.length;
    server.deafen();
    await server.until(() => server.hellos.length > hellos);
    server.offer("106.1", "step1");
    await server.end("106.1");
    await worker.stop();
    await ended;
  });

  test("stops everything when it is fenced, and begins anew", async () => {
    const aborted = gate();
    const { worker, ended } = started(server, {
      step1: async (_: null, context) => stopped(context).finally(aborted.open),
      step2: () => "served on",
    });
    const sessions = server.sessions.length;
    server.offer("111.1", "step1");
    await server.until(() =>
      server.said.some((each) => each.type === "lease" && each.running.includes("111.1")),
    );
    server.say({ type: "bye", why: "it was silent", fenced: true });
    await aborted.opened;
    await server.until(() => server.sessions.length > sessions + 1);
    server.offer("112.1", "step2");
    await server.end("112.1");
    assert.deepEqual(server.ends("111.1"), []);
    await worker.stop();
    await ended;
  });

  test("ends what is in hand before it leaves, and takes nothing more", async () => {
    const [begun, may] = [gate(), gate()];
    const { worker, ended } = started(server, {
      step1: async () => {
        begun.open();
        await may.opened;
        return "whole";
      },
    });
    server.offer("121.1", "step1");
    await begun.opened;
    const stopping = worker.stop();
    await server.until(() => server.said.findLast((each) => each.type !== "lease")?.type === "drain");
    server.offer("122.1", "step1");
    await server.until(() => server.said.some((each) => each.type === "back" && each.attempt === "122.1"));
    may.open();
    await stopping;
    await ended;
    assert.equal(server.ends("121.1")[0]?.output, "whole");
    assert.equal(server.said.at(-1)?.type, "leave");
    await server.until(() => server.connections === 0);
  });

  test("tells what has not ended within the grace as stopped, and as lost if it does not listen", async () => {
    const never = gate();
    const { worker, ended } = started(
      server,
      { step1: (_: null, context) => stopped(context), step2: () => never.opened },
      { grace: 0.05 },
    );
    server.offer("131.1", "step1");
    server.offer("132.1", "step2");
    await server.until(() =>
      server.said.some((each) => each.type === "lease" && each.running.includes("132.1")),
    );
    const stopping = worker.stop();
    await server.end("131.1");
    await worker.stop();
    await Promise.all([stopping, ended]);
    const [first, second] = [server.ends("131.1")[0], server.ends("132.1")[0]];
    assert.deepEqual([first?.ending, first?.lost], ["STOPPED", undefined]);
    assert.deepEqual([second?.ending, second?.lost], ["STOPPED", true]);
    never.open();
  });

  test("ends at once where its token is not good, and says what to do", async () => {
    for (const carrier of ["stream", "poll"] as const) {
      const { ended } = started(server, { step1: () => null }, { carrier, token: "pn_worker_wrong" });
      await assert.rejects(
        ended,
        (error) => error instanceof Dismissed && /tokens create/.test(error.message),
      );
    }
    const { ended } = started(server, { step1: () => null });
    await server.until(() => server.connections === 1);
    server.close(4401, "revoked");
    await assert.rejects(ended, /revoked/);
    await server.until(() => server.connections === 0);
    const other = started(server, { step1: () => null });
    await server.until(() => server.connections === 1);
    server.close(4406, "1 and 2 do not meet");
    await assert.rejects(other.ended, /version/);
  });

  test("reads the file with its token anew when it is not good any more", async () => {
    const folder = mkdtempSync(join(tmpdir(), "procession-token-"));
    const file = join(folder, "token");
    writeFileSync(file, TOKEN);
    const { worker, ended } = started(server, { step1: () => "served on" }, { token: `file:${file}` });
    await server.until(() => server.connections === 1);
    server.token = "pn_worker_renewed";
    writeFileSync(file, server.token);
    server.close(4401, "revoked");
    server.offer("161.1", "step1");
    await server.end("161.1");
    await worker.stop();
    await ended;
    server.token = TOKEN;
    rmSync(folder, { recursive: true });
  });

  test("polls where no stream gets through", async () => {
    server.refuses = (carrier) => (carrier === "stream" ? { status: 426 } : null);
    const { worker, ended } = started(server, { step1: () => "polled" });
    server.offer("141.1", "step1");
    await server.end("141.1");
    assert.equal(server.carriers.at(-1), "poll");
    server.refuses = () => null;
    await worker.stop();
    await ended;
  });

  test("comes back when polls failed, with a hello that names what it has", async () => {
    const { worker, ended } = started(
      server,
      { step1: (_: null, context) => stopped(context) },
      { carrier: "poll" },
    );
    server.offer("151.1", "step1");
    await server.until(() =>
      server.said.some((each) => each.type === "lease" && each.running.includes("151.1")),
    );
    const hellos = server.hellos.length;
    let refused = 0;
    server.refuses = () => ((refused += 1) === 1 ? { status: 503, headers: { "Retry-After": "0" } } : null);
    await server.until(() => server.hellos.length > hellos);
    assert.deepEqual(server.hellos.at(-1)?.running, ["151.1"]);
    server.refuses = () => null;
    server.say({ type: "command", attempt: "151.1", verb: "stop", reason: "" });
    await server.end("151.1");
    await worker.stop();
    await ended;
  });

  test("keeps what it has to say when it is the server that is not understood", async () => {
    server.acknowledges = false;
    const { worker, ended, reports } = started(server, { step1: () => "kept" });
    server.offer("171.1", "step1");
    await server.end("171.1");
    for (let times = 1; times <= 2; times += 1) {
      const said = server.ends("171.1").length;
      server.say({ type: "have", attempts: ["no attempt"] });
      await server.until(() => server.ends("171.1").length > said);
    }
    assert.match(reports.join("\n"), /not understood: messages\[0\]\.attempts\[0\]/);
    server.acknowledges = true;
    assert.ok(server.ends("171.1").every((each) => each.output === "kept"));
    await worker.stop();
    await ended;
  });

  test("carries as many out at once as it has slots", async () => {
    let [now, most] = [0, 0];
    const all = gate();
    const { worker, ended } = started(
      server,
      {
        step1: async () => {
          now += 1;
          most = Math.max(most, now);
          if (now === 50) all.open();
          await all.opened;
          now -= 1;
        },
      },
      { slots: 50 },
    );
    for (let number = 1; number <= 50; number += 1) server.offer(`2${number}.1`, "step1");
    for (let number = 1; number <= 50; number += 1) await server.end(`2${number}.1`);
    assert.equal(most, 50);
    await worker.stop();
    await ended;
  });

  test("may be stopped by whoever it reports to, while nobody answers", async () => {
    const reports: string[] = [];
    const report = (line: string) => {
      reports.push(line);
      void worker.stop();
    };
    const worker = new Worker({ url: "http://127.0.0.1:1", token: TOKEN, report }).register("a", () => null);
    await worker.start();
    assert.match(reports[0] ?? "", /ECONNREFUSED.*again in/);
    assert.deepEqual(reports.slice(1), ["stopping; 0 in hand"]);
  });

  test("says what is wrong before it begins", async () => {
    const options = { url: server.url, token: TOKEN, signals: false };
    assert.throws(() => new Worker({ slots: 0 }), /slots/);
    assert.throws(() => new Worker({ name: "with\nlines" }), /name/);
    assert.throws(() => new Worker().register("No Name", () => null), /action: a name/);
    assert.throws(
      () => new Worker().register("a", () => null).register("a", () => null),
      /registered already/,
    );
    await assert.rejects(new Worker(options).start(), /register an action/);
    await assert.rejects(new Worker({ token: TOKEN }).register("a", () => null).start("ftp://x"), /http/);
    await assert.rejects(new Worker().register("a", () => null).start("http://me:secret@x"), /no user/);
  });
});

test("a program ends by itself after SIGTERM, with what it had in hand told", async () => {
  const server = await FakeServer.start();
  const program = spawn(process.execPath, [new URL("./support/program.js", import.meta.url).pathname], {
    env: { ...process.env, PROCESSION_URL: server.url, PROCESSION_TOKEN: TOKEN },
    stdio: ["ignore", "inherit", "ignore"],
  });
  const exited = new Promise((resolve) => program.on("exit", (code, signal) => resolve([code, signal])));
  server.offer("1.1", "slow");
  await server.until(() => server.said.some((each) => each.type === "progress"));
  program.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null]);
  assert.equal(server.ends("1.1")[0]?.output, "whole");
  assert.equal(server.said.at(-1)?.type, "leave");
  await server.stop();
});
