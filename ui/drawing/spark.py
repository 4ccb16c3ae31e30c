"""How often something happened over a time, in the height of a line of text."""

from collections.abc import Sequence

from ui import words
from ui.drawing.svg import Node, element, picture

BAR, GAP, TALL = 3, 1, 20


def draw(counts: Sequence[int], told: str) -> Node:
    most = max((*counts, 1))
    bars = [
        element(
            "rect",
            x=place * (BAR + GAP),
            y=TALL - height,
            width=BAR,
            height=height,
            class_="fill bad" if count else "track",
        )
        for place, count in enumerate(counts)
        for height in [max(2.0, TALL * count / most) if count else 1.0]
    ]
    width = max(1, len(counts) * (BAR + GAP) - GAP)
    label = f"{told}: {words.number(sum(counts))} in all, {words.number(most)} at most at once"
    return picture(width, TALL, label, *bars, class_="strip", width=width, height=TALL)
