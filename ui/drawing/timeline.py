"""What a run did when: a line for each task, split into waiting, running and backing off."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ui import words
from ui.drawing.svg import Node, element, picture

NAMES, WIDTH, ROW, HEAD = 190.0, 1000.0, 26.0, 28.0
LETTERS = 24
Place = Callable[[datetime], float]
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time and what it was spent with."""

    start: datetime
    end: datetime
    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    name: str
    href: str
    spans: Sequence[Span] = field(default_factory=tuple)


def draw(lines: Sequence[Line], held: Sequence[Span], start: datetime, end: datetime) -> Node:
    total = max((end - start).total_seconds(), 0.001)

    def x(moment: datetime) -> float:
        share = (moment - start).total_seconds() / total
        return NAMES + (WIDTH - NAMES) * min(max(share, 0.0), 1.0)

    height = HEAD + ROW * len(lines)
    shades = [shade(each, x(each.start), x(each.end), height) for each in held]
    rows = [row(each, at, x) for at, each in enumerate(lines)]
    label = f"{len(lines)} tasks over {words.duration(total)}"
    axis = ticks(total, height)
    return picture(WIDTH, height, label, *axis, *shades, *rows, role="group", class_="timeline")


def ticks(total: float, height: float) -> list[Node]:
    """Round times since the start, eight at most."""
    step, drawn = step_of(total), []
    for number in range(int(total / step) + 1):
        at = NAMES + (WIDTH - NAMES) * number * step / total
        if at > WIDTH - 40:
            break
        drawn.append(element("path", d=f"M{at:g} {HEAD - 6:g}V{height:g}", class_="axis"))
        told = "0" if number == 0 else words.duration(number * step)
        drawn.append(element("text", told, x=at + 4, y=HEAD - 10, class_="note"))
    return drawn


def step_of(total: float) -> float:
    if total < 2:
        return total / 4
    fitting = (float(each) for each in STEPS if total / each <= 8)
    return next(fitting, STEPS[-1] * (1 + total // (8 * STEPS[-1])))


def shade(span: Span, start: float, end: float, height: float) -> Node:
    return element(
        "rect",
        element("title", span.text),
        x=start,
        y=HEAD - 6,
        width=max(end - start, 1.5),
        height=height - HEAD + 6,
        class_=f"shade {span.tone}",
    )


def row(line: Line, at: int, x: Place) -> Node:
    y = HEAD + ROW * at
    name = line.name if len(line.name) <= LETTERS else line.name[: LETTERS - 1] + "…"
    label = element(
        "a",
        element("title", line.name),
        element("text", name, x=4, y=y + 17, class_="name"),
        href=line.href,
    )
    return element("g", label, *(bar(each, y, x) for each in line.spans))


def bar(span: Span, y: float, x: Place) -> Node:
    thin = span.tone in ("wait", "backoff")
    start, end = x(span.start), x(span.end)
    return element(
        "rect",
        element("title", f"{span.text}: {words.duration(span.end - span.start)}"),
        x=start,
        y=y + (10 if thin else 5),
        width=max(end - start, 2.0),
        height=6 if thin else 16,
        rx=2,
        class_=f"fill {span.tone}",
    )


def span(start: datetime | None, end: datetime | None, tone: str, text: str) -> list[Span]:
    """None where there is nothing between the two."""
    if start is None or end is None or end - start <= timedelta():
        return []
    return [Span(start, end, tone, text)]
