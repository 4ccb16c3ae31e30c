"""`action`: work for whoever serves the action, anywhere."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain.definitions import ActionCall, TaskDefinition
from scheduler.domain.fields import Field, as_data
from scheduler.domain.kinds.command import OF_WORKERS
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE
from scheduler.domain.readers import data, plain_text
from scheduler.domain.sections import Cursor, Section

KEYS = ("action",)
BESIDE = (OF_WORKERS - {"queue"}) | {"grace"}
PARTS = ("name", "payload")
QUEUE = "action:"

action_name = plain_text(TYPE_NAME, TYPE_NAME_RULE)


def read(section: Section) -> ActionCall | None:
    return section.take("action", call, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("ActionCall", task.work)
    if work.payload is None:
        return {"action": work.action}
    return {"action": {"name": work.action, "payload": work.payload}}


def fields(task: TaskDefinition) -> Iterator[Field]:
    yield Field(("action", "payload"), cast("ActionCall", task.work).payload, as_data)


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "action": cast("ActionCall", task.work).action,
        "payload": found["action.payload"],
        "timeout": task.timeout.total_seconds() if task.timeout else None,
        "grace": task.grace.total_seconds(),
        "on_lost": task.on_lost,
    }


def call(cursor: Cursor) -> ActionCall:
    if not isinstance(cursor.value, dict):
        return ActionCall(action=action_name(cursor))
    section = Section(cursor, PARTS)
    return ActionCall(
        action=section.need("name", action_name, ""), payload=section.take("payload", data, None)
    )
