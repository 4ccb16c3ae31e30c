"""Many runs on one axis of time: a lane for each process, as many rows in it as run at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from ui.drawing.svg import Node, element, picture

NAMES, WIDTH, HEAD, TALL, GAP, PAD = 190.0, 1000.0, 28.0, 10.0, 3.0, 8.0
LETTERS = 24
ROWS = 8  # of a lane; what runs beside more than these is drawn over the last
LEAST = 3.0  # wide, or nobody could point at it
STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800)
TICKS = 8


@dataclass(frozen=True, slots=True)
class Bar:
    """One run."""

    lane: str
    start: datetime
    end: datetime
    tone: str
    text: str
    href: str


@dataclass(frozen=True, slots=True)
class Axis:
    start: datetime
    end: datetime

    @property
    def seconds(self) -> float:
        return max((self.end - self.start).total_seconds(), 1.0)

    def x(self, moment: datetime) -> float:
        share = (moment - self.start).total_seconds() / self.seconds
        return NAMES + (WIDTH - NAMES) * min(max(share, 0.0), 1.0)


def draw(bars: Sequence[Bar], start: datetime, end: datetime, zone: tzinfo) -> Node:
    axis, at, drawn = Axis(start, end), HEAD, list[Node]()
    for name in sorted({bar.lane for bar in bars}):
        placed = rows([bar for bar in bars if bar.lane == name], axis)
        height = (max(row for _, row in placed) + 1) * (TALL + GAP) + PAD
        drawn.append(lane(name, placed, axis, at, height))
        at += height
    label = f"{len(bars)} runs of {len({bar.lane for bar in bars})} processes"
    return picture(
        WIDTH, at, label, *ticks(axis, zone, at), *drawn, role="group", class_="timeline"
    )


def rows(bars: Sequence[Bar], axis: Axis) -> list[tuple[Bar, int]]:
    """Each in the first row where it has room."""
    free: list[float] = []
    placed = []
    for bar in sorted(bars, key=lambda bar: bar.start):
        left, right = extent(bar, axis)
        row = next((row for row, end in enumerate(free) if end <= left), len(free))
        row = min(row, ROWS - 1)
        free[row : row + 1] = [right + 1]
        placed.append((bar, row))
    return placed


def extent(bar: Bar, axis: Axis) -> tuple[float, float]:
    left = min(axis.x(bar.start), WIDTH - LEAST)
    return left, max(axis.x(bar.end), left + LEAST)


def lane(
    name: str, placed: Sequence[tuple[Bar, int]], axis: Axis, at: float, height: float
) -> Node:
    short = name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"
    title = element("title", name)
    return element(
        "g",
        element("path", d=f"M0 {at:g}H{WIDTH:g}", class_="axis"),
        element("text", title, short, x=4, y=at + PAD / 2 + TALL, class_="name"),
        *(drawn_bar(bar, axis, at + PAD / 2 + row * (TALL + GAP)) for bar, row in placed),
    )


def drawn_bar(bar: Bar, axis: Axis, y: float) -> Node:
    left, right = extent(bar, axis)
    shape = element(
        "rect", element("title", bar.text), x=left, y=y, width=right - left, height=TALL, rx=2,
        class_=f"fill {bar.tone}",
    )  # fmt: skip
    return element("a", shape, href=bar.href, aria_label=bar.text)


def ticks(axis: Axis, zone: tzinfo, height: float) -> list[Node]:
    """Round times of the zone that somebody looks in."""
    step = next((each for each in STEPS if axis.seconds / each <= TICKS), STEPS[-1])
    first = axis.start.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    count = int((axis.start - first).total_seconds() // step) + 1
    drawn = []
    while (moment := first + timedelta(seconds=step * count)) < axis.end:
        at, count = axis.x(moment), count + 1
        drawn.append(element("path", d=f"M{at:g} {HEAD - 6:g}V{height:g}", class_="axis"))
        if at < WIDTH - 40:
            told = moment.strftime("%d %b" if step >= 86_400 else "%H:%M")
            drawn.append(element("text", told, x=at + 4, y=HEAD - 10, class_="note"))
    return drawn
