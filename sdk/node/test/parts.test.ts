import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Windows } from "../src/backoff.js";
import { Failure } from "../src/index.js";
import { placeOf } from "../src/place.js";
import { described, raised, succeeded } from "../src/telling.js";
import { VERSION } from "../src/version.js";
import { FROM_WORKER, decode } from "../src/wire.js";

const PACKAGE = new URL("../../package.json", import.meta.url);
const LOCK = new URL("../../package-lock.json", import.meta.url);

test("the version is that of the package", () => {
  assert.equal((JSON.parse(readFileSync(PACKAGE, "utf8")) as { version: string }).version, VERSION);
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(readFileSync(LOCK, "utf8"), /https?:/);
});

test("there is one try in each window, and windows grow to a minute", () => {
  const windows = new Windows(() => 0.5);
  const moments = [];
  let now = 0;
  for (let tries = 0; tries < 9; tries += 1) moments.push((now += windows.next(now)));
  assert.deepEqual(moments, [0.5, 2, 5, 11, 23, 47, 93, 153, 213]);
  windows.succeeded();
  assert.equal(windows.next(now), 0.5);
  assert.equal(windows.next(now, 100), 101);
});

test("where the server is and what it is asked with may come from the environment", () => {
  const folder = mkdtempSync(join(tmpdir(), "procession-token-"));
  const file = join(folder, "token");
  writeFileSync(file, "pn_worker_kept\n");
  chmodSync(file, 0o600);
  const place = placeOf({}, "a", {
    PROCESSION_URL: "https://example.org/below/",
    PROCESSION_TOKEN_FILE: file,
  });
  assert.equal(place.stream, "wss://example.org/below/api/v1/workers/stream");
  assert.equal(place.headers()["Authorization"], "Bearer pn_worker_kept");
  assert.equal(
    placeOf({ token: `file:${file}` }, "a", {}).headers()["Authorization"],
    "Bearer pn_worker_kept",
  );
  const both = placeOf({}, "a", { PROCESSION_TOKEN: "pn_1", PROCESSION_TOKEN_FILE: file });
  assert.equal(both.headers()["Authorization"], "Bearer pn_1");
  assert.equal(placeOf({}, "a", {}).url, "http://127.0.0.1:8080");
  writeFileSync(file, "pn_worker_renewed\n");
  assert.equal(place.headers()["Authorization"], "Bearer pn_worker_renewed");
  rmSync(folder, { recursive: true });
});

test("what is no address or no token is refused in words that hold no secret", () => {
  assert.throws(
    () => placeOf({ url: "http://me:hunter2@example.org" }, "a", {}),
    (error: Error) => {
      return /no user/.test(error.message) && !error.message.includes("hunter2");
    },
  );
  assert.throws(() => placeOf({ url: "example" }, "a", {}), /is no URL/);
  assert.throws(
    () => placeOf({ token: "pn_x\nSet-Cookie: y" }, "a", {}),
    (error: Error) => {
      return /this is no token/.test(error.message) && !error.message.includes("pn_x");
    },
  );
  assert.throws(() => placeOf({ token: "file:/nowhere/at/all" }, "a", {}), /cannot be read/);
});

test("whatever is thrown can be told", () => {
  const circle = new Error("a");
  circle.cause = circle;
  const cruel = new Error();
  for (const name of ["stack", "message", "name", "cause"]) {
    Object.defineProperty(cruel, name, { get: () => assert.fail("nobody may read this") });
  }
  const bare = Object.create(null) as object;
  const long = new Error("\u{1f600}".repeat(5_000));
  for (const thrown of [
    circle,
    cruel,
    bare,
    long,
    undefined,
    null,
    Symbol("s"),
    "a\0b",
    { a: 1 },
    7n,
    new Failure("x"),
  ]) {
    const text = JSON.stringify({
      session: "6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21",
      messages: [raised("1.1", thrown)],
    });
    assert.equal(decode(text, FROM_WORKER).messages.length, 1);
  }
});

test("an error has the name that it gives itself, or that of its class", () => {
  class OutOfStock extends Error {}
  class Named extends Error {
    override readonly name = "stock.Empty";
  }
  const names = [new OutOfStock(), new Named(), new TypeError(), new Failure("x", { type: "Gone" }), "text"];
  assert.deepEqual(
    names.map((each) => described(each).type),
    ["OutOfStock", "stock.Empty", "TypeError", "Gone", "Error"],
  );
});

test("results are what JSON makes of them, at the moment when they are returned", () => {
  const moment = new Date(0);
  assert.deepEqual(succeeded("1.1", { at: moment, left: undefined }).output, { at: moment.toJSON() });
  assert.equal(succeeded("1.1", undefined).output, null);
  const result = { rows: [1] };
  const ended = succeeded("1.1", result);
  result.rows.push(2);
  assert.deepEqual(ended.output, { rows: [1] });
});

test("a result may be as deep as the API takes it, and no deeper", () => {
  const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)]);
  assert.equal(succeeded("1.1", nested(64)).ending, "SUCCEEDED");
  assert.equal(succeeded("1.1", nested(65)).ending, "FAILED");
});
