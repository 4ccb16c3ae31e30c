"""What a start would come to, before anything is started: what is done where, and how long that
takes."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import planning, rendering, scopes
from scheduler.domain.errors import Invalid, Refusal
from scheduler.domain.inputs import check_against
from scheduler.domain.planning import Planned
from scheduler.domain.process_types import ProcessType
from scheduler.store import process_screens, variables
from scheduler.store.rows import Row
from ui import figures
from ui.figures import Figures

Connection = AsyncConnection[Any]

MOST_TASKS = 1_000  # of a type that is played through for a page
SHOWN = 60
READY = 1_000  # tasks that are counted before one's own
WAITED = 20  # latest runs whose waits say what to expect
QUEUES = 20


@dataclass(frozen=True, slots=True)
class Place:
    """A limit that a task needs a place under."""

    key: str
    what: str
    taken: int
    size: int

    @property
    def is_full(self) -> bool:
        return self.taken >= self.size


@dataclass(frozen=True, slots=True)
class Truth:
    """None of it is promised: others start things too."""

    waves: Sequence[tuple[int, Sequence[Planned]]]
    more: int
    fault: str | None  # why nothing can be said
    queues: Sequence[Row]
    places: Sequence[Place]
    group: Place | None
    on_conflict: str
    wait: tuple[float, float] | None
    usual: Figures
    input: Mapping[str, Any]


async def look(
    conn: Connection, definition: ProcessType, input: Mapping[str, Any], record: str | None
) -> Truth:
    around = await variables.of_record(conn, record)
    vars = scopes.variables(around.system, definition.vars, around.record)
    definition = replace(definition, vars=vars)
    rows = await process_screens.figures_of_types(conn, [definition.name], figures.LATEST)
    planned, fault, given = await plan(definition, input)
    scope = {"input": given, "vars": vars, "run": {"type": definition.name, "round": 1}}
    keys = dict(limits_of(definition, scope))
    group = group_of(definition, scope)
    taken = await process_screens.places(conn, [*keys, *([group] if group else [])])
    queues = list(dict.fromkeys(each.place["queue"] for each in planned if "queue" in each.place))
    wait = await process_screens.waits(conn, definition.name, WAITED)
    return Truth(
        waves=[(n, list(g)) for n, g in groupby(planned[:SHOWN], lambda each: each.wave)],
        more=max(0, len(planned) - SHOWN),
        fault=fault,
        queues=await process_screens.queues(conn, queues[:QUEUES], READY) if queues else [],
        places=[place(key, what, size, taken) for key, (what, size) in keys.items()],
        group=place(group, "runs", definition.concurrency.max, taken)
        if group and definition.concurrency
        else None,
        on_conflict=definition.concurrency.on_conflict if definition.concurrency else "",
        wait=(wait[0], wait[1]) if wait else None,
        usual=figures.figures(rows.get(definition.name)),
        input=given,
    )


async def plan(
    definition: ProcessType, input: Mapping[str, Any]
) -> tuple[list[Planned], str | None, Mapping[str, Any]]:
    """Beside the loop: a type may have thousands of tasks."""
    given, lacks = input, None
    try:
        given = check_against(definition.input_schema, dict(input))
    except Refusal as refusal:
        lacks = str(refusal)
    if len(definition.tasks) > MOST_TASKS:
        return [], f"it has more than {MOST_TASKS} tasks: `procession plan FILE` plays it", given
    try:
        planned = await asyncio.to_thread(planning.plan, definition, given)
    except Invalid as fault:
        return [], lacks or str(fault), given
    return (planned if lacks is None else [open_yet(each) for each in planned]), lacks, given


def open_yet(planned: Planned) -> Planned:
    """What an input that is not whole yet keeps from being done is not told task by task."""
    return planned if planned.verdict != "cannot" else replace(planned, verdict="runs", why="")


def limits_of(
    definition: ProcessType, scope: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[str, int]]]:
    """The keys that are known before anything runs; those of items are not."""
    for task in definition.tasks[:MOST_TASKS]:
        try:
            for key, size in rendering.limit_keys(definition, task, scope):
                yield key, (task.name, size)
        except Invalid:
            continue


def group_of(definition: ProcessType, scope: Mapping[str, Any]) -> str | None:
    try:
        key = rendering.concurrency_key(definition, scope)
    except Invalid:
        return None
    return None if key is None else f"group:{definition.name}:{key}"


def place(key: str, what: str, size: int, known: Mapping[str, Row]) -> Place:
    row = known.get(key)
    return Place(key, what, row["taken"] if row else 0, size)
