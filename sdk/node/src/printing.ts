/** What one attempt prints, in pieces that messages can carry. */

const PIECE = 64 << 10; // characters of one piece
const MOST_UNSAID = 1 << 20; // characters that wait to be said
const MOST_KEPT = 32 << 10; // characters that are said again after a cut
const SHORT = 1_000; // characters of a piece that grows by what is printed next

export interface Piece {
  readonly offset: number; // in bytes of UTF-8
  readonly text: string;
}

export class Printing {
  private printed = 0; // bytes, said or not
  private unsaid: Piece[] = [];
  private size = 0; // characters of these
  private kept: Piece[] = []; // said last: nobody acknowledges it, and a cut may have lost it

  /** What nobody can take is left out; the offset of what follows shows the gap. */
  add(text: string): void {
    const offset = this.printed;
    this.printed += Buffer.byteLength(text);
    if (this.size + text.length > MOST_UNSAID) return;
    this.size += text.length;
    const last = this.unsaid.at(-1);
    if (last && last.text.length < SHORT && endOf(last) === offset) {
      this.unsaid[this.unsaid.length - 1] = { offset: last.offset, text: last.text + text };
    } else {
      this.unsaid.push({ offset, text });
    }
  }

  /** What is to be said; it counts as said. */
  take(): Piece[] {
    const taken = this.unsaid.flatMap(pieces);
    this.kept = lastOf([...this.kept, ...taken]);
    [this.unsaid, this.size] = [[], 0];
    return taken;
  }

  /** The connection is another: the last counts as not said. */
  rewind(): void {
    this.unsaid = [...this.kept, ...this.unsaid];
    this.kept = [];
  }
}

function endOf({ offset, text }: Piece): number {
  return offset + Buffer.byteLength(text);
}

function lastOf(said: Piece[]): Piece[] {
  let size = 0;
  return said.slice(said.findLastIndex((each) => (size += each.text.length) > MOST_KEPT) + 1);
}

/** No character is cut in two. */
function pieces({ offset, text }: Piece): Piece[] {
  const found: Piece[] = [];
  for (let start = 0; start < text.length;) {
    let end = Math.min(start + PIECE, text.length);
    if (end < text.length && isLead(text.charCodeAt(end - 1))) end -= 1;
    const piece = { offset, text: text.slice(start, end) };
    found.push(piece);
    offset = endOf(piece);
    start = end;
  }
  return found;
}

function isLead(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}
