/** Serves one action. `PROCESSION_TOKEN=… node build/examples/worker.js` */

import { Worker } from "procession-sdk";

const worker = new Worker();

worker.register("send-welcome-email", async (payload: string) => {
  // Something that takes a moment.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return `Email sent to ${payload}`;
});

await worker.start(process.argv[2]);
