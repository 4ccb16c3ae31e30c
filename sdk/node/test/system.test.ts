import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  Dismissed,
  Failure,
  Invalid,
  NotFound,
  RunFailed,
  Unauthorized,
  Client,
  Worker,
  type Context,
} from "../src/index.js";
import { System } from "./support/system.js";

const program = System.program();
const skip = program === undefined ? "no `procession` here: install it, or name it in PROCESSION_BIN" : false;

describe("with a server", { skip }, () => {
  let system: System;
  let client: Client;
  let token: string;

  before(async () => {
    system = await System.start(program as string);
    client = system.client;
    token = await system.token("worker");
  });
  after(() => system.stop());

  async function serving(
    carrier: "stream" | "poll",
    actions: Record<string, (payload: never, context: Context) => unknown>,
    use: () => Promise<void>,
  ): Promise<void> {
    const worker = new Worker({ url: system.url, token, carrier, signals: false, report: () => undefined });
    for (const [action, handler] of Object.entries(actions)) worker.register(action, handler);
    const ended = worker.start();
    try {
      await use();
    } finally {
      await worker.stop();
      await ended;
    }
  }

  for (const carrier of ["stream", "poll"] as const) {
    test(`a chain of actions is carried out over ${carrier}, and triggered once by one key`, async () => {
      await client.defineWorkflow("checkout", ["charge-credit-card", "send-welcome-email"]);
      const key = `order-123-${carrier}`;
      const run = await client.triggerWorkflow("checkout", '{"order_id": 123}', key);
      assert.equal(await client.triggerWorkflow("checkout", '{"order_id": 123}', key), run);
      const actions = {
        "charge-credit-card": async (payload: string) => `charged ${payload}`,
        "send-welcome-email": async (payload: string) => `mailed after ${payload}`,
      };
      await serving(carrier, actions, async () => {
        assert.equal((await client.wait(run)).status, "COMPLETED");
      });
      const status = await client.getRunStatus(run);
      assert.equal(status.status, "COMPLETE");
      assert.equal(status.finalOutput, 'mailed after charged {"order_id": 123}');
    });
  }

  test("the examples do what they say", async () => {
    const [worker, asking] = [example("worker.js"), example("checkout.js")];
    const mailer = spawn(process.execPath, [worker, system.url], {
      env: { ...process.env, PROCESSION_TOKEN: token },
      stdio: "ignore",
    });
    const left = once(mailer, "exit");
    const actions = {
      "charge-credit-card": (payload: string) => `charged ${payload}`,
      "generate-invoice": (payload: string) => `invoice for ${payload}`,
    };
    await serving("stream", actions, async () => {
      const env = {
        ...process.env,
        PROCESSION_URL: system.url,
        PROCESSION_TOKEN: await system.token("author"),
      };
      const { stdout } = await promisify(execFile)(process.execPath, [asking], { env });
      assert.match(stdout, /Email sent to invoice for charged \{"order_id": 123\}\n$/);
    });
    mailer.kill("SIGTERM");
    assert.deepEqual(await left, [0, null]);
  });

  test("JSON comes and goes, another attempt has the same key, and what cannot be mended is not tried again", async () => {
    const seen: [number, string][] = [];
    await client.define({
      name: "sums",
      input: { type: "object", properties: { of: { type: "array" } } },
      tasks: [
        {
          name: "add",
          action: { name: "add", payload: "${{ input.of }}" },
          retries: { max: 3, delay: "0s" },
        },
        { name: "give-up", action: "give-up", needs: ["add"], retries: { max: 3, delay: "0s" } },
      ],
    });
    const actions = {
      add: (payload: number[], context: Context) => {
        seen.push([context.number, context.key]);
        if (context.number === 1) throw new RangeError("try again");
        return { sum: payload.reduce((sum, each) => sum + each, 0) };
      },
      "give-up": () => {
        throw new Failure("this will never be", { retryable: false });
      },
    };
    await serving("stream", actions, async () => {
      const run = await client.start("sums", { of: [1, 2, 3] }, { labels: { team: "books" } });
      await assert.rejects(
        client.output(run),
        (error) => error instanceof RunFailed && /never be/.test(error.message),
      );
      assert.deepEqual((await client.getTask(run, "add")).output, { sum: 6 });
      assert.equal((await client.getTask(run, "give-up")).attempt, 1);
      assert.deepEqual(
        seen.map(([number]) => number),
        [1, 2],
      );
      assert.equal(seen[0]?.[1], seen[1]?.[1]);
      const labelled = await client.listRuns({ labels: { team: "books" }, status: ["FAILED"] });
      assert.deepEqual(
        labelled.map((each) => each.id),
        [run.id],
      );
    });
  });

  test("what a handler prints is followed while it works, and a stop reaches it", async () => {
    await client.define({ name: "watch", tasks: [{ name: "it", action: "watch" }] });
    const actions = {
      watch: async (_: null, context: Context) => {
        context.log("line %d of gr\u00fc\u00dfe", 1);
        await new Promise((_, reject) => {
          context.signal.addEventListener("abort", () => reject(context.signal.reason as Error));
        });
      },
    };
    await serving("stream", actions, async () => {
      const run = await client.start("watch");
      let printed = "";
      for await (const text of client.logs(run, "it")) {
        printed += text;
        if (printed.includes("\n")) break;
      }
      assert.equal(printed, "line 1 of gr\u00fc\u00dfe\n");
      await client.stop(run, { why: "seen enough" });
      assert.equal((await client.wait(run)).status, "STOPPED");
      const kinds: unknown[] = [];
      for await (const event of client.follow(run)) kinds.push(event["type"] ?? event["kind"]);
      assert.equal(kinds.at(0), "run.started");
      assert.equal(kinds.at(-1), "run.stopped");
    });
  });

  test("what a worker had to stop when it left is done by the next, and costs the task no retry", async () => {
    await client.define({ name: "moves", tasks: [{ name: "it", action: "move" }] });
    const run = await client.start("moves");
    const first = new Worker({ url: system.url, token, grace: 0, signals: false, report: () => undefined });
    const left = new Promise<void>((resolve) => {
      first.register("move", async (_, context) => {
        const aborted = once(context.signal, "abort");
        resolve(first.stop());
        await aborted;
        context.signal.throwIfAborted();
      });
    });
    const ended = first.start();
    await left;
    await ended;
    await serving("stream", { move: (_: null, context) => context.number }, async () => {
      assert.equal((await client.wait(run, { timeout: 60 })).status, "COMPLETED");
    });
    const task = await client.getTask(run, "it");
    assert.deepEqual([task.attempt, task.output, task["retries_used"]], [2, 1, 1]);
  });

  test("a wait ends when its time is over, or when it is given up", async () => {
    await client.define({ name: "nobody", tasks: [{ name: "it", action: "nobody-serves-this" }] });
    const run = await client.start("nobody");
    await assert.rejects(client.wait(run, { timeout: 0.2 }), { name: "TimeoutError" });
    const giveUp = new AbortController();
    const waiting = client.wait(run, { signal: giveUp.signal });
    giveUp.abort();
    await assert.rejects(waiting, { name: "AbortError" });
    assert.match((await client.why(run)).join(), /nobody-serves-this/);
    await client.command(run, "stop", { kill: true });
  });

  test("refusals say what is wrong, by their kind", async () => {
    await assert.rejects(client.getRun("0199a0b0-0000-7000-8000-000000000001"), NotFound);
    await assert.rejects(client.define({ name: "wrong", tasks: [{ nam: "it" }] }), (error) => {
      return error instanceof Invalid && error.faults.length > 0 && /nam/.test(error.message);
    });
    await assert.rejects(new Client({ url: system.url, token: "pn_admin_nobody" }).listRuns(), Unauthorized);
    const viewer = await system.token("viewer");
    for (const carrier of ["stream", "poll"] as const) {
      const worker = new Worker({ url: system.url, token: viewer, carrier, report: () => undefined });
      await assert.rejects(worker.register("a", () => null).start(), (error) => {
        return error instanceof Dismissed && /viewer/.test(error.message);
      });
    }
  });
});

function example(name: string): string {
  return fileURLToPath(new URL(`../examples/${name}`, import.meta.url));
}
