// Serves an action that does nothing: `worker.mjs ACTION SLOTS`.
import { Worker } from "procession-sdk";

const [action, slots] = process.argv.slice(2);
const worker = new Worker({ name: "noops-node", slots: Number(slots), report: () => {} });
await worker.register(action, async (payload) => payload).start();
