"""When somebody was there: a ribbon over a stretch of time, and the part of it that was covered."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ui.drawing.svg import Node, element, picture

WIDE, TALL = 336, 14
LEAST = 1.5  # what was short is seen all the same

Stretch = tuple[datetime, datetime]


def ribbon(stretches: Sequence[Stretch], start: datetime, length: timedelta, label: str) -> Node:
    parts = [element("rect", x=0, y=0, width=WIDE, height=TALL, class_="track")]
    for since, until in merged(stretches):
        left, right = place(since, start, length), place(until, start, length)
        width = max(LEAST, right - left)
        parts.append(
            element(
                "rect",
                x=min(left, WIDE - width),
                y=0,
                width=width,
                height=TALL,
                class_="fill good",
            )
        )
    days = range(1, max(1, length.days))
    marks = [
        element("path", d=f"M{WIDE * day // length.days} 0v{TALL}", class_="gap") for day in days
    ]
    told = f"{label}: there for {share(stretches, start, length):.0%} of {length.days} days"
    return picture(WIDE, TALL, told, *parts, *marks, class_="ribbon", preserveAspectRatio="none")


def place(moment: datetime, start: datetime, length: timedelta) -> float:
    return min(1.0, max(0.0, (moment - start) / length)) * WIDE


def share(stretches: Sequence[Stretch], start: datetime, length: timedelta) -> float:
    """Of the whole length, each moment counted once."""
    return (
        sum(
            place(until, start, length) - place(since, start, length)
            for since, until in merged(stretches)
        )
        / WIDE
    )


def merged(stretches: Sequence[Stretch]) -> list[Stretch]:
    """In their order, those that touch as one."""
    found: list[Stretch] = []
    for since, until in sorted(stretches):
        if found and since <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], until))
        else:
            found.append((since, until))
    return found
