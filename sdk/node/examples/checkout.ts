/** Defines a chain of actions, triggers it once, and waits for what comes of it. */

import { Client } from "procession-sdk";

const client = new Client();

await client.defineWorkflow("checkout-pipeline", [
  "charge-credit-card",
  "generate-invoice",
  "send-welcome-email",
]);

const run = await client.triggerWorkflow("checkout-pipeline", '{"order_id": 123}', "order-123");

console.log(await client.getRunStatus(run));
await client.wait(run);
console.log((await client.getRunStatus(run)).finalOutput);
