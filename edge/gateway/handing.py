"""Processes as they are handed over: with all that their run may need, since it may be alone."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from edge import invocations
from edge.messages import Offer
from scheduler.domain import process_types
from scheduler.domain.definitions import ChildCall, ProcessType, TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.services import definitions
from scheduler.store import runs, variables
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]
Document = dict[str, Any]

PROCESS = "process"
MOST_TYPES = 50  # of one process, its children's included
LONGEST = 600 << 10  # characters of the whole, so that a frame has room for it


async def offer(conn: Conn, task: Row) -> Offer:
    """For a task that a station carries out as a whole run. Raises a Refusal where it cannot be."""
    call: Mapping[str, Any] = task["invocation"]
    parent = await runs.get(conn, task["run_id"])
    around = await variables.of_record(conn, parent["record_id"] if parent else None)
    types = await needed(conn, call["type"], call.get("version"))
    process = {
        **{name: call.get(name) for name in ("input", "labels", "wait", "timeout")},
        "type": types[0]["name"],
        "version": types[0]["version"],
        "types": types,
        "system": around.system,
        "record": around.record,
    }
    if len(json.dumps(process)) > LONGEST:
        raise Invalid(f"{call['type']!r} is too large to be handed over with all that it needs")
    about = {"run": str(task["run_id"]), "type": task["type"], "task": task["name"]}
    before = (task["placement"] or {}).get("start_before")
    return Offer(
        f"{task['id']}.{task['attempt']}",
        {PROCESS: process, invocations.ABOUT: {**about, "decided_here": True}},
        start_before=None if before is None else datetime.fromisoformat(before).timestamp(),
        on_lost="wait",
    )


async def needed(conn: Conn, name: str, version: int | None) -> list[Document]:
    """The type and those that its runs start, the type itself first."""
    found: dict[tuple[str, int | None], Document] = {}
    todo = [(name, version)]
    while todo:
        wanted = todo.pop()
        if wanted in found:
            continue
        if len(found) >= MOST_TYPES:
            raise Invalid(f"{name!r} and what it starts are more than {MOST_TYPES} types")
        row = await definitions.get(conn, *wanted)
        found[wanted] = {key: row[key] for key in ("name", "version", "document")}
        todo += children(process_types.from_document(row["document"]))
    return list(found.values())


def children(definition: ProcessType) -> Iterator[tuple[str, int | None]]:
    for task in (*definition.tasks, *definition.hooks.values()):
        for each in (task, task.undo):
            if isinstance(each, TaskDefinition) and isinstance(each.work, ChildCall):
                yield each.work.type, each.work.version
