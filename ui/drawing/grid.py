"""Runs against tasks: a column for each run, the newest on the right, and a row for each task.

A table and not a picture, so that whoever cannot see it hears which task of which run it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from ui import words
from ui.drawing.icons import SHAPES
from ui.drawing.svg import Node, element

RUNS, TASKS = 30, 50
TALL, WIDE = 48.0, 10.0
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """One run: a bar as tall as it took long, against the longest beside it."""

    run: UUID
    state: str
    began: datetime
    told: str
    bar: Node


@dataclass(frozen=True, slots=True)
class Line:
    task: str
    cells: Sequence[Node | None]  # None where the run has no such task


@dataclass(frozen=True, slots=True)
class Grid:
    heads: Sequence[Head]
    lines: Sequence[Line]
    shapes: Node
    is_cut: bool  # there are more tasks than rows


def draw(runs: Sequence[Row], tasks: Sequence[Row], now: datetime) -> Grid:
    """Of runs with the newest first, as lists have them."""
    columns = list(reversed(runs))
    lengths = [seconds(run, now) for run in columns]
    most = max((*lengths, 0.001))
    by_run: dict[UUID, dict[str, Row]] = {}
    for task in tasks:
        by_run.setdefault(task["run_id"], {})[task["name"]] = task
    return Grid(
        heads=[head(run, took, most) for run, took in zip(columns, lengths, strict=True)],
        lines=[
            Line(name, [cell(by_run.get(run["id"], {}).get(name)) for run in columns])
            for name in names(runs, by_run)
        ],
        shapes=shapes(),
        is_cut=any(len(found) >= TASKS for found in by_run.values()),
    )


def names(runs: Sequence[Row], by_run: Mapping[UUID, Mapping[str, Row]]) -> list[str]:
    """In the order of the newest run; behind it what only older ones had."""
    found = dict.fromkeys(name for run in runs for name in by_run.get(run["id"], {}))
    return list(found)[: 2 * TASKS]


def seconds(run: Row, now: datetime) -> float:
    if run["started_at"] is None:
        return 0.0
    return float(((run["finished_at"] or now) - run["started_at"]).total_seconds())


def head(run: Row, took: float, most: float) -> Head:
    word = words.state(run["state"])
    height = max(2.0, TALL * took / most)
    bar = element(
        "svg",
        element(
            "rect",
            x=0,
            y=TALL - height,
            width=WIDE,
            height=height,
            rx=2,
            class_=f"fill {word.tone}",
        ),
        viewBox=f"0 0 {WIDE:g} {TALL:g}",
        width=WIDE,
        height=TALL,
        aria_hidden="true",
    )
    told = f"{word.text}, {words.duration(took)}"
    return Head(run["id"], run["state"], run["created_at"], told, bar)


def cell(task: Row | None) -> Node | None:
    if task is None:
        return None
    word = words.state(task["state"])
    took = ""
    if task["started_at"] and task["finished_at"]:
        took = f", {words.duration(task['finished_at'] - task['started_at'])}"
    tries = f", attempt {task['attempt']}" if task["attempt"] > 1 else ""
    return element(
        "a",
        element("svg", element("use", href=f"#s-{word.shape}"), class_="icon", aria_hidden="true"),
        element("span", word.text, class_="hidden"),
        class_=word.tone,
        href=f"/ui/runs/{task['run_id']}/tasks/{task['position']}",
        title=f"{task['name'][:60]}: {word.text}{took}{tries}",
    )


def drawn(shape: Node) -> dict[str, Any]:
    """Said on the shape itself: rules of a style sheet do not reach what is pointed to."""
    if 'class="line"' not in shape:
        return {}
    ends = {"stroke_linecap": "round", "stroke_linejoin": "round"}
    return {"fill": "none", "stroke": "currentColor", "stroke_width": 2.2, **ends}


def shapes() -> Node:
    """Each shape once; cells only point to it."""
    symbols = [
        element("symbol", shape, id=f"s-{name}", viewBox="0 0 16 16", **drawn(shape))
        for name, shape in SHAPES.items()
    ]
    return element("svg", *symbols, class_="shapes", aria_hidden="true", width=0, height=0)
