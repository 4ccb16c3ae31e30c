/** Work that takes long: says how far it is, can be held and stopped, and happens once. */

import { Failure, Worker, type Context } from "procession-sdk";

interface Import {
  readonly rows: readonly { id: string; amount: number }[];
}

const worker = new Worker({ slots: 4, grace: 60 });

worker.register("import-rows", async ({ rows }: Import, context: Context) => {
  if (rows.length === 0) throw new Failure("there is nothing to import", { retryable: false });
  let sum = 0;
  for (const [place, row] of rows.entries()) {
    await context.checkpoint(); // waits while the run is held; throws if it is to stop
    // Another attempt has the same key: who is asked twice with it does it once.
    await store(row, `${context.key}:${row.id}`, context.signal);
    sum += row.amount;
    context.progress((100 * (place + 1)) / rows.length, `row ${row.id}`);
    context.log("stored %s", row.id);
  }
  return { rows: rows.length, sum };
});

await worker.start();

/** What you would do with a database or another service. */
async function store(row: object, key: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, 10));
  console.log("stored", key, row);
}
