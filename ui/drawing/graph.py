"""The tasks of a run as a graph, laid out in layers from left to right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ui import words
from ui.drawing.icons import shape_at
from ui.drawing.svg import Node, element, picture

WIDE, HIGH, ACROSS, DOWN, EDGE = 164.0, 44.0, 40.0, 16.0, 4.0
LETTERS = 18  # of a name are drawn
MOST = 400  # tasks; beyond that nobody sees anything in a graph
ROUNDS = 4


@dataclass(frozen=True, slots=True)
class Box:
    """One task: what follows it, by position."""

    position: int
    name: str
    state: str
    note: str
    href: str
    successors: tuple[int, ...]


def layers(boxes: Sequence[Box]) -> dict[int, int]:
    """How far each stands from the start: behind all that come before it."""
    known = {box.position for box in boxes}
    before: dict[int, list[int]] = {box.position: [] for box in boxes}
    for box in boxes:
        for target in box.successors:
            if target in known:
                before[target].append(box.position)
    layer: dict[int, int] = {}
    waiting = [box.position for box in boxes]
    for _ in boxes:
        rest = [each for each in waiting if any(one not in layer for one in before[each])]
        for each in waiting:
            if each not in rest and each not in layer:
                layer[each] = 1 + max((layer[one] for one in before[each]), default=-1)
        if len(rest) == len(waiting):
            break
        waiting = rest
    return {box.position: layer.get(box.position, 0) for box in boxes}


def places(boxes: Sequence[Box]) -> dict[int, tuple[float, float]]:
    """Where each box stands; those of a layer lie near what they hang together with."""
    layer = layers(boxes)
    columns: dict[int, list[int]] = {}
    for box in boxes:
        columns.setdefault(layer[box.position], []).append(box.position)
    beside = neighbours(boxes)
    row = {each: float(at) for column in columns.values() for at, each in enumerate(column)}
    for _ in range(ROUNDS):
        for _, column in sorted(columns.items()):
            column.sort(key=lambda each: weight(each, beside, row))
            row |= {each: float(at) for at, each in enumerate(column)}
    tallest = max((len(column) for column in columns.values()), default=0)
    return {
        each: (
            EDGE + at * (WIDE + ACROSS),
            EDGE + ((tallest - len(column)) / 2 + place) * (HIGH + DOWN),
        )
        for at, column in columns.items()
        for place, each in enumerate(column)
    }


def neighbours(boxes: Sequence[Box]) -> Mapping[int, list[int]]:
    found: dict[int, list[int]] = {box.position: [] for box in boxes}
    for box in boxes:
        for target in box.successors:
            if target in found:
                found[box.position].append(target)
                found[target].append(box.position)
    return found


def weight(each: int, beside: Mapping[int, list[int]], row: Mapping[int, float]) -> float:
    near = beside[each]
    return sum(row[one] for one in near) / len(near) if near else row[each]


def draw(boxes: Sequence[Box]) -> Node:
    at = places(boxes)
    lines = [
        line(at[box.position], at[target])
        for box in boxes
        for target in box.successors
        if target in at
    ]
    width = max((x for x, _ in at.values()), default=0.0) + WIDE + EDGE
    height = max((y for _, y in at.values()), default=0.0) + HIGH + EDGE
    label = f"{len(boxes)} tasks and what follows what"
    drawn = [draw_box(box, *at[box.position]) for box in boxes]
    return picture(
        width,
        height,
        label,
        *lines,
        *drawn,
        role="group",
        class_="graph",
        width=width,
        height=height,
    )


def line(start: tuple[float, float], end: tuple[float, float]) -> Node:
    x, y = start[0] + WIDE, start[1] + HIGH / 2
    to_x, to_y = end[0], end[1] + HIGH / 2
    bend = max(20.0, (to_x - x) / 2)
    path = f"M{x:g} {y:g}C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"
    return element("path", d=path, class_="edge")


def draw_box(box: Box, x: float, y: float) -> Node:
    word = words.state(box.state)
    name = box.name if len(box.name) <= LETTERS else box.name[: LETTERS - 1] + "…"
    return element(
        "a",
        element("title", f"{box.name}: {word.text}{', ' + box.note if box.note else ''}"),
        element("rect", x=x, y=y, width=WIDE, height=HIGH, rx=6, class_="box"),
        element("rect", x=x, y=y, width=4, height=HIGH, rx=2, class_="fill"),
        shape_at(box.state, x + 11, y + 7),
        element("text", name, x=x + 33, y=y + 19, class_="name"),
        element("text", box.note or word.text, x=x + 33, y=y + 35, class_="note"),
        href=box.href,
        class_=f"node {word.tone}",
    )
