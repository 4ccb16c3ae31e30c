/** What values of the protocol have to be, and what of them can be said at all. */

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** Throws `Unfit` for a value that may not stand there. */
export type Check = (told: unknown, where: string) => void;

/** A value that cannot be said: tells where, and what is due. */
export class Unfit extends Error {
  override readonly name: string = "Unfit";
}

const LONGEST = 256 << 10; // characters of one text
const DEEPEST = 72; // how deep JSON may be nested
const HIGHEST = 2 ** 63; // what 2^63 - 1 is among the numbers that JavaScript has
const HALF = /[\ud800-\udfff]/u; // with `u` it finds halves alone

export function text(least = 0, most = LONGEST): Check {
  return (told, where) => {
    if (typeof told !== "string" || !isOfLength(told, least, most)) {
      throw new Unfit(`${where}: a text of ${least} to ${most} characters is due`);
    }
    if (!isSayable(told)) {
      throw new Unfit(`${where}: a text without NUL and without halves of characters is due`);
    }
  };
}

/** Characters are counted as the server counts them: a pair of halves is one. */
function isOfLength(told: string, least: number, most: number): boolean {
  if (told.length < least || told.length > 2 * most) return false;
  return told.length <= most || Array.from(told).length <= most;
}

export function isSayable(told: string): boolean {
  return !told.includes("\0") && !HALF.test(told);
}

/** Without what no text of the protocol may have, and no longer than `most` characters. */
export function clipped(told: string, most: number): string {
  return cleaned(told.slice(0, most));
}

export function cleaned(told: string): string {
  return isSayable(told) ? told : told.replaceAll("\0", "\ufffd").replaceAll(/[\ud800-\udfff]/gu, "\ufffd");
}

/** A text of a pattern; `rule` says it in words. */
export function shaped(pattern: RegExp, rule: string): Check {
  return (told, where) => {
    if (typeof told !== "string" || !pattern.test(told)) throw new Unfit(`${where}: ${rule}`);
  };
}

export function whole(least = 0, most = HIGHEST): Check {
  return (told, where) => {
    if (!Number.isInteger(told) || (told as number) < least || (told as number) > most) {
      throw new Unfit(`${where}: a whole number from ${least} to ${most} is due`);
    }
  };
}

export function number(least: number, most: number): Check {
  return (told, where) => {
    if (typeof told !== "number" || !(told >= least && told <= most)) {
      throw new Unfit(`${where}: a number from ${least} to ${most} is due`);
    }
  };
}

export function flag(told: unknown, where: string): void {
  if (typeof told !== "boolean") throw new Unfit(`${where}: true or false is due`);
}

export function oneOf(...allowed: string[]): Check {
  return (told, where) => {
    if (typeof told !== "string" || !allowed.includes(told)) {
      throw new Unfit(`${where}: one of ${allowed.join(", ")} is due`);
    }
  };
}

export function object(told: unknown, where: string): void {
  if (!isObject(told)) throw new Unfit(`${where}: an object is due`);
  json(told, where);
}

export function isObject(told: unknown): told is Record<string, unknown> {
  return typeof told === "object" && told !== null && !Array.isArray(told);
}

const sayable = text();

/** Any JSON that can be stored. */
export function json(told: unknown, where: string, depth: number = DEEPEST): void {
  if (typeof told === "string") return sayable(told, where);
  if (typeof told === "number") return storable(told, where);
  if (told === null || typeof told === "boolean") return;
  if (typeof told !== "object") throw new Unfit(`${where}: ${typeof told} is nothing that JSON has`);
  if (depth === 0) throw new Unfit(`${where}: nested deeper than allowed`);
  if (Array.isArray(told)) {
    told.forEach((each, place) => json(each, `${where}[${place}]`, depth - 1));
    return;
  }
  for (const [name, each] of Object.entries(told as object)) {
    sayable(name, `${where}, a key`);
    json(each, `${where}.${name.slice(0, 60)}`, depth - 1);
  }
}

/** Written without an exponent a number is a whole one, and these have 64 bits. */
function storable(told: number, where: string): void {
  const size = Math.abs(told);
  if (!Number.isFinite(told)) throw new Unfit(`${where}: ${told} is no number of JSON`);
  if (size >= HIGHEST && size < 1e21 && told !== -HIGHEST) {
    throw new Unfit(`${where}: ${told} has more than 64 bits; say it as a text`);
  }
}
