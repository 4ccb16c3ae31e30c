"""What the earlier systems ask that ours says otherwise: chains of actions, inputs as texts.

A chain is a process type whose tasks are of kind `action`: each waits READY in the queue
`action:NAME` for a worker that serves this action. The payload of the first is the input of the
run, that of each other the output of the one before, and the last output is the run's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import process_types as definitions
from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE
from scheduler.domain.process_types import ProcessType
from scheduler.domain.schedule_reading import read_schedule
from scheduler.services import definitions as published
from scheduler.services import records
from scheduler.services import schedules as planned
from scheduler.services.catalog import Catalog
from scheduler.services.records import Draft
from scheduler.store import aliases, process_types, schedules
from scheduler.store.rows import Row
from scheduler.store.schedules import Target

Conn = AsyncConnection[Any]

ACTION, STEP_INDEX = "action", "step_index"
OF_RUN = "${{ has(input.input) ? input.input : null }}"


@dataclass(frozen=True, slots=True)
class Step:
    action: str
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody says of a record in the words of an earlier system; None leaves it."""

    type: str | None = None
    input: dict[str, Any] | None = None
    input_text: str | None = None
    schedule: str | None = None


def chain(name: str, steps: Sequence[Step]) -> ProcessType:
    if not TYPE_NAME.fullmatch(name):
        raise Invalid(f"{name[:63]!r} cannot be an id: {TYPE_NAME_RULE}", field="id")
    tasks = [task(step, number) for number, step in enumerate(steps, 1)]
    result = output_of(len(tasks))
    return definitions.from_document({"name": name, "tasks": tasks, "result": result})


def task(step: Step, number: int) -> dict[str, Any]:
    if not TYPE_NAME.fullmatch(step.action):
        field = f"steps[{number - 1}].action"
        raise Invalid(f"{step.action[:63]!r} names no action: {TYPE_NAME_RULE}", field=field)
    payload = OF_RUN if number == 1 else output_of(number - 1)
    return {
        "name": f"step-{number}",
        "action": {"name": step.action, "payload": payload},
        "needs": [f"step-{number - 1}"] if number > 1 else [],
        "labels": {ACTION: step.action, STEP_INDEX: str(step.index)},
    }


def output_of(number: int) -> str:
    return f"${{{{ tasks.step-{number}.output }}}}"


def is_chain(document: dict[str, Any]) -> bool:
    return all(ACTION in task.get("labels", {}) for task in document["tasks"])


async def publish(conn: Conn, name: str, steps: Sequence[Step], *, by: str) -> int:
    """The version of the chain: a new one, unless the newest says the same already."""
    definition = chain(name, steps)
    digest = definitions.digest(definition)
    async with conn.transaction():
        latest = await published.lock_latest(conn, name)
        if latest and digest == await process_types.digest(conn, name, latest):
            return latest
        version = latest + 1
        document = definitions.to_document(definition)
        await process_types.publish(conn, name, version, digest=digest, document=document, by=by)
        await process_types.add_tasks(conn, name, version, published.template_rows(definition))
        await process_types.advance(conn, name, version)
    return version


async def create(conn: Conn, catalog: Catalog, record: str, wish: Wish, *, by: str) -> Row:
    draft = Draft(type=wish.type or "", input=wish.input or {})
    async with conn.transaction():
        await records.create(conn, catalog, record, draft, by=by)
        await aliases.annotate(conn, record, input_text=wish.input_text, schedule=wish.schedule)
        await plan(conn, record, wish.schedule, by=by)
    return await get(conn, record)


async def change(conn: Conn, catalog: Catalog, record: str, wish: Wish, *, by: str) -> Row:
    async with conn.transaction():
        if wish.schedule is not None:
            await schedules.lock_all(conn, Target(record=record))  # before the record, as clocks do
        await records.locked(conn, record)
        kept = await records.get(conn, record)
        draft = Draft(
            type=wish.type or kept["type"],
            input=kept["input"] if wish.input is None else wish.input,
            vars=kept["vars"],
            description=kept["description"],
            priority=kept["priority"],
        )
        await records.change(conn, catalog, record, draft)
        await aliases.annotate(conn, record, input_text=wish.input_text, schedule=wish.schedule)
        await plan(conn, record, wish.schedule, by=by)
    return await get(conn, record)


async def plan(conn: Conn, record: str, schedule: str | None, *, by: str) -> None:
    """Make the text that is kept with a record the schedule that it means; none if it is empty."""
    if schedule is None:
        return
    wanted = [read_schedule({"name": "kept", "cron": schedule})] if schedule.strip() else []
    await planned.sync_of_record(conn, record, wanted, by, origin=planned.RECORD)


async def get(conn: Conn, record: str) -> Row:
    for found in await aliases.records(conn, id=record, limit=1):
        return found
    raise NotFound(f"there is no process record {record!r}")
