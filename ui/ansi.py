"""What terminals show in colours, as pieces of plain text with the name of a style each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Piece = tuple[str, str]  # style, text

ESCAPE = re.compile(
    r"\x1b\[(?P<codes>[0-9;:]*)m"  # a style
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # any other sequence
    r"|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"  # titles and links
    r"|\x1b[@-Z\\-_]?"
)
CUT = re.compile(r"\x1b(?:\[[0-?]{0,40})?\Z|\r\Z")
ALONE = re.compile(r"\r+(?=\n)")
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
FLAGS = {1: "b", 2: "dim", 3: "i", 4: "u"}
ENDS = {22: ("b", "dim"), 23: ("i",), 24: ("u",)}


@dataclass(slots=True)
class Reader:
    """Reads a text in parts; a style goes on until it ends."""

    flags: set[str] = field(default_factory=set)
    colour: str = ""
    cut: str = ""  # the beginning of a sequence whose end is still to come

    def read(self, text: str) -> Iterator[Piece]:
        at, text = 0, self.cut + text
        cut = CUT.search(text)
        text, self.cut = (text[: cut.start()], cut[0]) if cut else (text, "")
        text = ALONE.sub("", text).replace("\r", "\n")
        for found in ESCAPE.finditer(text):
            yield from self.piece(text[at : found.start()])
            at = found.end()
            if found["codes"] is not None:
                self.apply([int(code[:3] or 0) for code in re.split("[;:]", found["codes"])])
        yield from self.piece(text[at:])

    def piece(self, text: str) -> Iterator[Piece]:
        if shown := UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text):
            yield " ".join(filter(None, (self.colour, *sorted(self.flags)))), shown

    def apply(self, codes: list[int]) -> None:
        left = iter(codes)
        for code in left:
            if code in (38, 48):  # 256 colours or more: what follows is theirs
                skip = {5: 1, 2: 3}.get(next(left, 0), 0)
                for _ in range(skip):
                    next(left, 0)
            else:
                self.apply_one(code)

    def apply_one(self, code: int) -> None:
        if code == 0:
            self.flags.clear()
            self.colour = ""
        elif code in FLAGS:
            self.flags.add(FLAGS[code])
        elif code in ENDS:
            self.flags.difference_update(ENDS[code])
        elif 30 <= code <= 37 or 90 <= code <= 97:
            self.colour = f"c{code % 10}"
        elif code == 39:
            self.colour = ""
