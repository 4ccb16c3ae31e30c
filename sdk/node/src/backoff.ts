/** When to try again, so that a fleet whose server comes back does not come back at one moment.
 *
 * Time is cut into windows, each twice as long as the one before, up to a minute. In each there is one
 * try, at any moment of it: not sooner for who failed faster. No clock here.
 */

const LONGEST = 60;

export class Windows {
  private length = 1;
  private end = -Infinity;

  constructor(private readonly chance: () => number = Math.random) {}

  /** Seconds to wait for the next try, at least `least`; the window after that is longer. */
  next(now: number, least = 0): number {
    const begin = Math.max(now + least, this.end);
    const moment = begin + this.chance() * this.length;
    this.end = begin + this.length;
    this.length = Math.min(2 * this.length, LONGEST);
    return moment - now;
  }

  succeeded(): void {
    this.length = 1;
    this.end = -Infinity;
  }
}
