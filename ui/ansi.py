"""What terminals show in colours, as pieces of plain text with the name of a style each."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

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
FLAGS = {1: "b", 2: "dim", 3: "i", 4: "u", 7: "rev", 9: "s"}
ENDS = {22: ("b", "dim"), 23: ("i",), 24: ("u",), 27: ("rev",), 29: ("s",)}
# The sixteen that have a style each; of all others the nearest is shown.
BASIC = (
    (0, 0, 0), (205, 49, 49), (13, 188, 121), (229, 229, 16),
    (36, 114, 200), (188, 63, 188), (17, 168, 205), (204, 204, 204),
    (102, 102, 102), (241, 76, 76), (35, 209, 139), (245, 245, 67),
    (59, 142, 234), (214, 112, 214), (41, 184, 219), (255, 255, 255),
)  # fmt: skip
STEPS = (0, 95, 135, 175, 215, 255)


@dataclass(slots=True)
class Reader:
    """Reads a text in parts; a style goes on until it ends."""

    flags: set[str] = field(default_factory=set)
    colour: str = ""
    ground: str = ""
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
            yield " ".join(filter(None, (self.colour, self.ground, *sorted(self.flags)))), shown

    def apply(self, codes: list[int]) -> None:
        left = iter(codes)
        for code in left:
            if code == 38:
                self.colour = extended("c", left) or self.colour
            elif code == 48:
                self.ground = extended("g", left) or self.ground
            else:
                self.apply_one(code)

    def apply_one(self, code: int) -> None:
        if code == 0:
            self.flags.clear()
            self.colour = self.ground = ""
        elif code in FLAGS:
            self.flags.add(FLAGS[code])
        elif code in ENDS:
            self.flags.difference_update(ENDS[code])
        elif code == 39:
            self.colour = ""
        elif code == 49:
            self.ground = ""
        elif 30 <= code <= 37 or 90 <= code <= 97:
            self.colour = f"c{code % 10 + 8 * (code >= 90)}"
        elif 40 <= code <= 47 or 100 <= code <= 107:
            self.ground = f"g{code % 10 + 8 * (code >= 100)}"


def extended(kind: str, left: Iterator[int]) -> str:
    """One of 256 colours, or red, green and blue; what follows the code is theirs."""
    match next(left, 0):
        case 5:
            return f"{kind}{of_256(next(left, 0))}"
        case 2:
            red, green, blue = (min(next(left, 0), 255) for _ in range(3))
            return f"{kind}{nearest((red, green, blue))}"
    return ""


def of_256(number: int) -> int:
    if number < 16:
        return number
    if number >= 232:
        grey = 8 + 10 * (min(number, 255) - 232)
        return nearest((grey, grey, grey))
    red, rest = divmod(number - 16, 36)
    green, blue = divmod(rest, 6)
    return nearest((STEPS[red], STEPS[green], STEPS[blue]))


@lru_cache(4096)
def nearest(colour: tuple[int, int, int]) -> int:
    return min(
        range(16),
        key=lambda each: sum((a - b) ** 2 for a, b in zip(BASIC[each], colour, strict=True)),
    )
