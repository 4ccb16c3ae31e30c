// Serves one action of the order, in Node.js.
import { Worker } from "procession-sdk";

const worker = new Worker();

worker.register("send-welcome-email", async (payload) => {
  await new Promise((resolve) => setTimeout(resolve, 100)); // as a mail server would
  return `Email sent to ${payload}`;
});

await worker.start();
