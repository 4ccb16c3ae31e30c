/** Where the server is, and what it is asked with. */

import { readFileSync } from "node:fs";

const FROM_FILE = "file:";
const DEFAULT = "http://127.0.0.1:8080";

/** Says what is missing or wrong with an address or a token, and what to do about it. */
export class Misconfigured extends TypeError {
  override readonly name = "Misconfigured";
}

export interface Place {
  /** Without a slash at its end. */
  readonly url: string;
  readonly stream: string;
  readonly poll: string;
  /** Of a request; a file that holds the token is read anew. */
  headers(): Record<string, string>;
}

export interface Address {
  /** Else PROCESSION_URL, or PROCESSION_SERVER, or `http://127.0.0.1:8080`. */
  url?: string | undefined;
  /** `file:NAME` is a file that holds it. Else PROCESSION_TOKEN, or the file PROCESSION_TOKEN_FILE. */
  token?: string | undefined;
}

type Environment = Readonly<Record<string, string | undefined>>;

export function placeOf(address: Address, agent: string, environment: Environment = process.env): Place {
  const url = urlOf(
    address.url ?? (environment["PROCESSION_URL"] || environment["PROCESSION_SERVER"] || DEFAULT),
  );
  const token = tokenOf(address.token, environment);
  token(); // what is wrong with it is said before anything begins
  return {
    url,
    stream: `${url.replace(/^http/, "ws")}/api/v1/workers/stream`,
    poll: `${url}/api/v1/workers/sync`,
    headers: () => {
      const clear = token();
      return { "User-Agent": agent, ...(clear === undefined ? {} : { Authorization: `Bearer ${clear}` }) };
    },
  };
}

function urlOf(given: string): string {
  const url = parsed(given);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new Misconfigured(`the URL of a server begins with http:// or https://, not with ${url.protocol}`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new Misconfigured("the URL of a server has no user, password, query or fragment");
  }
  return url.href.replace(/\/+$/, "");
}

function parsed(given: string): URL {
  try {
    return new URL(given);
  } catch {
    throw new Misconfigured(`${JSON.stringify(given)} is no URL: say something like ${DEFAULT}`);
  }
}

function tokenOf(given: string | undefined, environment: Environment): () => string | undefined {
  const named = environment["PROCESSION_TOKEN_FILE"];
  const token = given ?? (environment["PROCESSION_TOKEN"] || (named && `${FROM_FILE}${named}`) || undefined);
  if (token === undefined) return () => undefined;
  if (token.startsWith(FROM_FILE)) return () => checked(kept(token.slice(FROM_FILE.length)));
  const clear = checked(token.trim());
  return () => clear;
}

function checked(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new Misconfigured(
    "this is no token: it has one line of visible characters; `procession tokens create` makes one",
  );
}

function kept(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new Misconfigured(`the token cannot be read from ${file}: ${(error as Error).message}`);
  }
}
