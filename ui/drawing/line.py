"""How a figure went over a time, in the height of a few lines of text."""

from collections.abc import Sequence
from dataclasses import dataclass

from ui.drawing.svg import Node, element, picture

WIDE, TALL = 240, 40
EDGE = 2.0


@dataclass(frozen=True, slots=True)
class Spot:
    """A figure at a place between 0, the beginning, and 1."""

    at: float
    value: float


def draw(spots: Sequence[Spot], label: str, *, most: float | None = None) -> Node:
    """`most` is as high as the picture; without it the highest figure is. Where nothing was told
    for long, the line is broken."""
    top = max((*(spot.value for spot in spots), most or 0.0)) or 1.0
    lines = [element("path", d=path(part, top), class_="figure") for part in parts(spots)]
    base = element("path", d=f"M0 {TALL}h{WIDE}", class_="axis")
    return picture(
        WIDE, TALL + 1, label, base, *lines, class_="figures", preserveAspectRatio="none"
    )


def parts(spots: Sequence[Spot], gap: float = 1 / 24) -> list[list[Spot]]:
    found: list[list[Spot]] = []
    for spot in spots:
        if found and spot.at - found[-1][-1].at <= gap:
            found[-1].append(spot)
        else:
            found.append([spot])
    return found


def path(spots: Sequence[Spot], top: float) -> str:
    points = [point(spot, top) for spot in spots]
    if len(points) == 1:
        return f"M{points[0]}h1"
    return "M" + "L".join(points)


def point(spot: Spot, top: float) -> str:
    height = (TALL - 2 * EDGE) * min(1.0, max(0.0, spot.value / top))
    return f"{spot.at * WIDE:.1f} {TALL - EDGE - height:.1f}"
