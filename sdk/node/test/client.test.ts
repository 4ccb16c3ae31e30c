import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { Client, Conflict, Invalid, Unavailable, Unreachable } from "../src/index.js";
import { Reader } from "../src/client/events.js";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const RUN = "0199a0b0-0000-7000-8000-000000000001";

describe("a client", () => {
  let server: Server;
  let client: Client;
  let answers: Answer[] = [];
  let asked: IncomingMessage[] = [];

  before(async () => {
    server = createServer((request, response) => {
      asked.push(request);
      request.resume();
      request.on("end", () => (answers.shift() ?? json(200, {}))(request, response));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    client = new Client({ url: url(), token: "pn_operator_t" });
  });
  beforeEach(() => ([answers, asked] = [[], []]));
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  function url(): string {
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test("asks again with the same key where no answer came, or none for now", async () => {
    answers = [json(503, { detail: "away" }), (request) => request.socket.destroy(), json(201, { id: RUN })];
    assert.equal((await client.start("orders", { order: 7 })).id, RUN);
    const keys = asked.map((each) => each.headers["idempotency-key"]);
    assert.equal(keys.length, 3);
    assert.equal(new Set(keys).size, 1);
  });

  test("gives up after some time, and says why", async () => {
    answers = Array.from({ length: 4 }, () => json(503, { detail: "the database is away" }));
    await assert.rejects(client.getRun(RUN), (error) => {
      return error instanceof Unavailable && error.message === "the database is away";
    });
    const nobody = createServer().listen(0, "127.0.0.1");
    await once(nobody, "listening");
    const { port } = nobody.address() as AddressInfo;
    nobody.close();
    await once(nobody, "close");
    const unanswered = new Client({ url: `http://127.0.0.1:${port}` }).getRun(RUN);
    await assert.rejects(
      unanswered,
      (error) => error instanceof Unreachable && /ECONNREFUSED/.test(error.message),
    );
  });

  test("does not ask again what was refused", async () => {
    answers = [json(409, { detail: "it has ended", remedy: "retry it" })];
    await assert.rejects(client.hold(RUN), (error) => {
      return error instanceof Conflict && error.message === "it has ended (retry it)";
    });
    assert.equal(asked.length, 1);
  });

  test("shows all that is wrong, and where", async () => {
    const faults = [{ path: "tasks[0].nam", message: "there is no key 'nam' here" }];
    answers = [json(422, { detail: "this is no definition", faults })];
    await assert.rejects(client.define({}), (error) => {
      return error instanceof Invalid && /tasks\[0\]\.nam: there is no key/.test(error.message);
    });
  });

  test("reads lists page by page, no further than it has to", async () => {
    answers = [json(200, { items: [1, 2], next: "behind 2" }), json(200, { items: [3], next: "behind 3" })];
    assert.deepEqual(await client.listAll("/api/v1/queues", { count: true, q: null }, 3), [1, 2, 3]);
    assert.deepEqual(
      asked.map((each) => each.url),
      ["/api/v1/queues?count=true&limit=3", "/api/v1/queues?count=true&limit=1&cursor=behind+2"],
    );
  });

  test("takes names for names, whatever is in them", async () => {
    await client.getTask("../../tokens", "a/b?c");
    assert.equal(asked[0]?.url, "/api/v1/runs/..%2F..%2Ftokens/tasks/a%2Fb%3Fc");
  });

  test("sends a definition in YAML as it is", async () => {
    answers = [json(200, { items: [] })];
    await client.define("name: hello\n");
    assert.equal(asked[0]?.headers["content-type"], "application/yaml");
  });

  test("follows over as many connections as it takes, and misses nothing", async () => {
    answers = [
      events(
        'id: 1\nevent: run.started\ndata: {"n": 1}\n\nid: 2\ndata: {"n": 2}\n\nid: 3\ndata: {"n"',
        "cut",
      ),
      events(': still here\n\nid: 3\ndata: {"n": 3}\n\n', "whole"),
      (_, response) => response.writeHead(204).end(),
    ];
    const found: unknown[] = [];
    for await (const event of client.follow(RUN)) found.push(event["n"]);
    assert.deepEqual(found, [1, 2, 3]);
    assert.deepEqual(
      asked.map((each) => each.headers["last-event-id"]),
      [undefined, "2", "3"],
    );
  });

  test("puts characters together that were printed in parts", async () => {
    const bytes = Buffer.from("grüße");
    const parts = [bytes.subarray(0, 3), bytes.subarray(3)].map(
      (part, place) =>
        `id: ${place}\nevent: out\ndata: {"offset": 0, "data": "${part.toString("base64")}"}\n\n`,
    );
    answers = [
      events(`${parts.join("")}event: gap\ndata: {"missing": 7}\n\nevent: end\ndata: {}\n\n`, "whole"),
    ];
    let printed = "";
    for await (const text of client.logs(RUN, "it", { attempt: 1 })) printed += text;
    assert.equal(printed, "grüße\n… 7 bytes are not kept …\n");
  });

  test("lets go of a connection that nobody reads any more", async () => {
    const closed = new Promise((resolve) => {
      answers = [
        (request, response) => {
          request.socket.once("close", resolve);
          response.writeHead(200, { "Content-Type": "text/event-stream" }).write("data: {}\n\n");
        },
      ];
    });
    for await (const event of client.follow(RUN)) {
      assert.deepEqual(event, {});
      break;
    }
    await closed;
  });
});

test("events are read from whatever pieces they come in", () => {
  const text = "id: 7\r\nevent: out\r\ndata: ä\r\ndata: b\r\n\r\n: nothing\n\ndata:c\n\n";
  const whole = Buffer.from(text);
  for (let size = 1; size < whole.length; size += 1) {
    const reader = new Reader();
    const found = [];
    for (let start = 0; start < whole.length; start += size)
      found.push(...reader.feed(whole.subarray(start, start + size)));
    assert.deepEqual(
      found,
      [
        { kind: "out", data: "ä\nb" },
        { kind: "", data: "c" },
      ],
      `in pieces of ${size}`,
    );
    assert.equal(reader.last, "7");
  }
});

function json(status: number, body: unknown): Answer {
  return (_, response) =>
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

function events(text: string, how: "cut" | "whole"): Answer {
  return (request, response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(text, () => (how === "cut" ? request.socket.destroySoon() : response.end()));
  };
}
