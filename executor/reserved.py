"""Finds reserved lines in what a command prints: `::procession:: {"progress": 0.5}`."""

from collections.abc import Callable

WORD = b"::procession::"
AFTER_A_LINE = b"\n" + WORD
LONGEST = 64 << 10  # of a line, its word included

Take = Callable[[bytes], None]


def nowhere(_: bytes) -> None:
    """For those who do not want the rest."""


class Lines:
    """One stream, however it is cut. A reserved line begins with the word and is handed out
    whole, without the word; all the rest is handed out as it comes."""

    def __init__(self, said: Take, too_long: Callable[[], None], rest: Take = nowhere):
        self.said = said
        self.too_long = too_long
        self.rest = rest
        self.held = b""  # the beginning of a line that is reserved, or may be
        self.is_inside = False  # of a line that is not reserved
        self.is_passing_over = False  # the rest of a reserved line that is too long

    def feed(self, data: bytes) -> None:
        at = self.pass_over(data) if self.is_passing_over else 0
        if self.held:
            data, self.held, at = self.held + data, b"", 0
        while at < len(data):
            if not self.is_inside and data.startswith(WORD, at):
                at = self.take_reserved(data, at)
            else:
                at = self.take_rest(data, at)

    def flush(self) -> None:
        data, self.held = self.held, b""
        if data.startswith(WORD):
            self.said(data[len(WORD) :])
        elif data:
            self.rest(data)

    # Each answers where to go on; nothing of what follows is copied, since lines may be many.

    def take_reserved(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at)
        behind = end + 1 if end >= 0 else len(data)
        if (end if end >= 0 else behind) - at > LONGEST:
            self.too_long()
            self.is_passing_over = end < 0
        elif end >= 0:
            self.said(data[at + len(WORD) : end])
        else:
            self.held = data[at:]
        return behind

    def take_rest(self, data: bytes, at: int) -> int:
        """Up to the next reserved line."""
        place = data.find(AFTER_A_LINE, at) + 1
        if place:
            self.is_inside = False
            self.rest(data[at:place])
            return place
        self.take_last(data, at, max(at, data.rfind(b"\n", at) + 1))
        return len(data)

    def take_last(self, data: bytes, at: int, last: int) -> None:
        """The last line began here; it may turn out to be reserved."""
        begins_here = last > at or not self.is_inside
        if begins_here and WORD.startswith(data[last:]):
            self.is_inside = False
            self.held = data[last:]
            data = data[:last]
        else:
            self.is_inside = True
        if at < len(data):
            self.rest(data[at:])

    def pass_over(self, data: bytes) -> int:
        end = data.find(b"\n")
        self.is_passing_over = end < 0
        return end + 1 if end >= 0 else len(data)
