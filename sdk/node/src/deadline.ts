/** A signal that is aborted after so many milliseconds, or with another one. `end` lets go of both. */
export class Deadline {
  private readonly controller = new AbortController();
  private readonly timer: NodeJS.Timeout;

  constructor(
    milliseconds: number,
    private readonly other?: AbortSignal,
  ) {
    this.timer = setTimeout(this.passed, milliseconds);
    other?.addEventListener("abort", this.abort);
    if (other?.aborted) this.abort();
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** It begins again: so long from now. */
  refresh(): void {
    this.timer.refresh();
  }

  end(): void {
    clearTimeout(this.timer);
    this.other?.removeEventListener("abort", this.abort);
  }

  private readonly passed = (): void => this.controller.abort(new Error("it took too long"));
  private readonly abort = (): void => this.controller.abort(this.other?.reason);
}
