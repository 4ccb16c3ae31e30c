/** What goes wrong between a client and its server. */

/** Whatever goes wrong between a client and its server. */
export class ProcessionError extends Error {
  override readonly name: string = "ProcessionError";
}

/** Nobody answered. */
export class Unreachable extends ProcessionError {
  override readonly name = "Unreachable";
}

export interface Fault {
  readonly path?: string;
  readonly message?: string;
  readonly [more: string]: unknown;
}

/** The server said why not: `detail` says so in words, `field` and `faults` where, `remedy` what to do. */
export class Refused extends ProcessionError {
  override readonly name: string = "Refused";
  readonly detail: string;
  readonly field: string | null;
  readonly faults: readonly Fault[];
  readonly remedy: string | null;

  constructor(
    readonly status: number,
    problem: Problem,
  ) {
    const detail = problem.detail ?? `the server answered ${status}`;
    const [field, faults, remedy] = [problem.field ?? null, problem.faults ?? [], problem.remedy ?? null];
    super(sentence(detail, field, faults, remedy));
    [this.detail, this.field, this.faults, this.remedy] = [detail, field, faults, remedy];
  }
}

interface Problem {
  readonly detail?: string;
  readonly field?: string | null;
  readonly faults?: readonly Fault[] | null;
  readonly remedy?: string | null;
}

/** 401: no token that is known. */
export class Unauthorized extends Refused {
  override readonly name = "Unauthorized";
}

/** 403: its role may not do this. */
export class Forbidden extends Refused {
  override readonly name = "Forbidden";
}

/** 404: there is no such thing. */
export class NotFound extends Refused {
  override readonly name = "NotFound";
}

/** 409, 412: it is not in a state that allows this. */
export class Conflict extends Refused {
  override readonly name = "Conflict";
}

/** 413, 415, 422: the request makes no sense. */
export class Invalid extends Refused {
  override readonly name = "Invalid";
}

/** 429, 502, 503, 504: ask again later. */
export class Unavailable extends Refused {
  override readonly name = "Unavailable";
}

/** A run that was waited for ended otherwise than by being completed. */
export class RunFailed extends ProcessionError {
  override readonly name = "RunFailed";

  constructor(
    readonly run: string,
    readonly status: string,
    readonly error: string | null,
  ) {
    super(`the run ${run} is ${status}${error ? `: ${error}` : ""}`);
  }
}

const KINDS: Readonly<Record<number, typeof Refused>> = {
  401: Unauthorized,
  403: Forbidden,
  404: NotFound,
  409: Conflict,
  412: Conflict,
  413: Invalid,
  415: Invalid,
  422: Invalid,
  429: Unavailable,
  502: Unavailable,
  503: Unavailable,
  504: Unavailable,
};

export function refusal(status: number, body: string): Refused {
  return new (KINDS[status] ?? Refused)(status, read(body));
}

/** Whether the same question may be answered a little later. */
export function mayPass(error: unknown): boolean {
  return error instanceof Unreachable || error instanceof Unavailable;
}

function read(body: string): Problem {
  try {
    const found: unknown = JSON.parse(body);
    return typeof found === "object" && found !== null ? found : {};
  } catch {
    return {};
  }
}

function sentence(
  detail: string,
  field: string | null,
  faults: readonly Fault[],
  remedy: string | null,
): string {
  const place = field && !detail.includes(field) ? `${field}: ` : "";
  const each = faults.map((fault) => `\n  ${fault.path ?? ""}: ${fault.message ?? ""}`);
  return `${place}${detail}${each.join("")}${remedy ? ` (${remedy})` : ""}`;
}
