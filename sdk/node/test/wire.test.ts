import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { BadFrame, FROM_SERVER, FROM_WORKER, LARGEST, MOST, decode, pack } from "../src/wire.js";

const SESSION = "6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21";

interface Vector {
  name: string;
  from: "worker" | "server";
  message?: unknown;
  frame?: unknown;
  good: boolean;
  why?: string;
}

const FOLDER = new URL("../../../vectors/messages/", import.meta.url);

function vectors(file: string): Vector[] {
  return JSON.parse(readFileSync(new URL(file, FOLDER), "utf8")) as Vector[];
}

/** What this end makes of it, in the words of the examples. */
function verdict(vector: Vector): string {
  const { message, frame = { session: SESSION, messages: [message] } } = vector;
  const text = typeof frame === "string" ? frame : JSON.stringify(frame);
  try {
    decode(text, vector.from === "server" ? FROM_SERVER : FROM_WORKER);
    return "good";
  } catch (error) {
    assert.ok(error instanceof BadFrame, String(error));
    return "bad";
  }
}

const files = readdirSync(FOLDER);

test("there are as many shared examples as were agreed upon", () => {
  assert.ok(files.flatMap(vectors).length >= 300);
});

for (const file of files) {
  test(`the examples of ${file} are judged as all ends judge them`, () => {
    const wrong = vectors(file).filter((each) => verdict(each) !== (each.good ? "good" : "bad"));
    assert.deepEqual(wrong, []);
  });
}

test("messages that are not known are passed over, those around them are read", () => {
  const frame = decode(
    JSON.stringify({
      session: SESSION,
      messages: [{ type: "dance" }, { type: "forget", attempt: "1.1" }],
    }),
  );
  assert.deepEqual(frame.messages, [{ type: "forget", attempt: "1.1" }]);
});

test("names of what every object has are no messages", () => {
  assert.deepEqual(decode(`{"session":"${SESSION}","messages":[{"type":"toString"}]}`).messages, []);
});

test("a frame larger than the largest is refused before it is parsed", () => {
  assert.throws(() => decode(" ".repeat(LARGEST + 1)), BadFrame);
  assert.throws(() => decode(`"${"ü".repeat(LARGEST / 2)}"`), /bytes at most/);
});

test("what is said is packed into frames that the other end reads, in its order", () => {
  const said = Array.from({ length: 3_500 }, (_, place) =>
    JSON.stringify({ type: "forget", attempt: `1.${place + 1}` }),
  );
  const found = [];
  for (const left = [...said]; left.length > 0;) found.push(decode(pack(SESSION, left)));
  assert.deepEqual(
    found.map((each) => each.messages.length),
    [MOST, MOST, MOST, 500],
  );
  assert.deepEqual(
    found.flatMap((each) => each.messages.map((one) => JSON.stringify(one))),
    said,
  );
});

test("frames are as large as allowed and no larger, in bytes", () => {
  const left = Array.from({ length: 9 }, () =>
    JSON.stringify({ type: "bye", why: "ü".repeat(100_000), fenced: false }),
  );
  const sizes = [];
  while (left.length > 0) sizes.push(Buffer.byteLength(pack(SESSION, left)));
  assert.ok(
    sizes.every((each) => each <= LARGEST),
    String(sizes),
  );
  assert.equal(sizes.length, 2);
});
