/** A whole Procession of a test: `procession up` in a folder of its own. */

import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Client } from "../../src/index.js";

const BESIDE = fileURLToPath(new URL("../../../../../.venv/bin/procession", import.meta.url));

export class System {
  private constructor(
    private readonly folder: string,
    private readonly process: ChildProcess,
    readonly url: string,
    readonly client: Client,
  ) {}

  /** Where a server can be had from, if anywhere. */
  static program(): string | undefined {
    const onPath = (process.env["PATH"] ?? "").split(delimiter).map((each) => join(each, "procession"));
    return [process.env["PROCESSION_BIN"] ?? "", BESIDE, ...onPath].find(
      (each) => each !== "" && existsSync(each),
    );
  }

  static async start(program: string): Promise<System> {
    const folder = mkdtempSync(join(tmpdir(), "procession-node-"));
    const port = await freePort();
    const ours = Object.entries(process.env).filter(([name]) => !name.startsWith("PROCESSION"));
    const up = spawn(program, ["up", "--data-dir", folder, "--port", String(port), "--workers", "0"], {
      env: Object.fromEntries(ours),
      stdio: ["ignore", "pipe", "pipe"],
    });
    process.once("exit", () => up.kill("SIGINT"));
    await ready(up);
    const url = `http://127.0.0.1:${port}`;
    const token = readFileSync(join(folder, "admin.token"), "utf8").trim();
    return new System(folder, up, url, new Client({ url, token }));
  }

  async token(role: string): Promise<string> {
    const name = `${role}-${process.hrtime.bigint()}`;
    const made = await this.client.call<{ token: string }>("POST", "/api/v1/tokens", {
      body: { name, role },
    });
    return made.token;
  }

  async stop(): Promise<void> {
    const exited = once(this.process, "exit");
    this.process.kill("SIGINT");
    await exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** `up` prints a line when everything has begun. */
async function ready(up: ChildProcess): Promise<void> {
  let log = "";
  up.stderr?.on("data", (data: Buffer) => (log = (log + data.toString()).slice(-10_000)));
  await new Promise<void>((resolve, reject) => {
    up.stdout?.on("data", (data: Buffer) => data.includes("ready") && resolve());
    up.on("error", reject);
    up.on("exit", (code) => reject(new Error(`procession up ended with ${code}: ${log}`)));
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
