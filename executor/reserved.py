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
        if self.is_passing_over:
            data = self.pass_over(data)
        if self.held:
            data, self.held = self.held + data, b""
        while data:
            if not self.is_inside and data.startswith(WORD):
                data = self.take_reserved(data)
            else:
                data = self.take_rest(data)

    def flush(self) -> None:
        data, self.held = self.held, b""
        if data.startswith(WORD):
            self.said(data[len(WORD) :])
        elif data:
            self.rest(data)

    def take_reserved(self, data: bytes) -> bytes:
        """What comes behind the line; nothing if its end is still to come."""
        line, end, behind = data.partition(b"\n")
        if len(line) > LONGEST:
            self.too_long()
            self.is_passing_over = not end
        elif end:
            self.said(line[len(WORD) :])
        else:
            self.held = line
        return behind

    def take_rest(self, data: bytes) -> bytes:
        """Up to the next reserved line, which is what comes back."""
        place = data.find(AFTER_A_LINE) + 1
        if place:
            self.is_inside = False
            self.rest(data[:place])
            return data[place:]
        self.take_last(data, data.rfind(b"\n") + 1)
        return b""

    def take_last(self, data: bytes, last: int) -> None:
        """The last line began here; it may turn out to be reserved."""
        begins_here = last > 0 or not self.is_inside
        if begins_here and WORD.startswith(data[last:]):
            self.is_inside = False
            self.held = data[last:]
            data = data[:last]
        else:
            self.is_inside = True
        if data:
            self.rest(data)

    def pass_over(self, data: bytes) -> bytes:
        _, end, behind = data.partition(b"\n")
        self.is_passing_over = not end
        return behind
