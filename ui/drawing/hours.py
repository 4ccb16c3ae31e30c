"""What became of the runs of each hour: a bar for each, divided by outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ui import words
from ui.drawing.svg import Node, element, picture

ORDER = ("COMPLETED", "STOPPED", "FAILED")  # from the bottom; what is not over stands on top
REST = "IN_PROGRESS"
WIDE, TALL = 12, 96


@dataclass(frozen=True, slots=True)
class Hour:
    label: str
    began: int
    outcomes: Mapping[str, int]  # of some of them, where they are very many

    def shares(self) -> list[tuple[str, float]]:
        known = sum(self.outcomes.values())
        parts = {state: self.outcomes.get(state, 0) for state in ORDER}
        parts[REST] = known - sum(parts.values())
        return [(state, self.began * count / known) for state, count in parts.items() if count]


def bars(hours: Sequence[Hour]) -> Node:
    most = max((*(hour.began for hour in hours), 1))
    drawn = [bar(hour, place, most) for place, hour in enumerate(hours)]
    width = len(hours) * WIDE
    base = element("path", d=f"M0 {TALL}h{width}", class_="axis")
    told = f"{words.number(sum(hour.began for hour in hours))} runs begun in {len(hours)} hours"
    return picture(width, TALL + 1, told, *drawn, base, class_="hours", preserveAspectRatio="none")


def bar(hour: Hour, place: int, most: int) -> Node:
    top, parts = float(TALL), []
    for state, count in hour.shares():
        height = max(1.5, (TALL - 4) * count / most)
        top -= height
        tone = words.state(state).tone
        parts.append(
            element(
                "rect",
                x=place * WIDE + 1,
                y=top,
                width=WIDE - 2,
                height=height,
                class_=f"fill {tone}",
            )
        )
    return element("g", element("title", said(hour)), *parts)


def said(hour: Hour) -> str:
    parts = [f"{words.number(count)} {words.state(state).text}" for state, count in hour.shares()]
    return f"{hour.label}: {', '.join(parts) or 'none'}"
