/** A worker as somebody writes it. Its action ends when the program is told to. */

import { once } from "node:events";
import { Worker } from "../../src/index.js";

const told = once(process, "SIGTERM");

const worker = new Worker({ name: "program" });
worker.register("slow", async (_, context) => {
  context.progress(50);
  await told;
  return "whole";
});
await worker.start();
