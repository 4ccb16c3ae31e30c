"""`workflow`: written as code, carried out by a program that remembers what it has done."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain.definitions import TaskDefinition, WorkflowCall
from scheduler.domain.fields import Field, as_data
from scheduler.domain.kinds.command import OF_WORKERS
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE
from scheduler.domain.readers import data, plain_text
from scheduler.domain.sections import Cursor, Section, flag

KEYS = ("workflow",)
BESIDE = (OF_WORKERS - {"queue"}) | {"grace"}
PARTS = ("name", "payload", "hears_stop")
QUEUE = "workflow:"

workflow_name = plain_text(TYPE_NAME, TYPE_NAME_RULE)


def read(section: Section) -> WorkflowCall | None:
    return section.take("workflow", call, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("WorkflowCall", task.work)
    said: dict[str, Any] = {"name": work.workflow}
    if work.payload is not None:
        said["payload"] = work.payload
    if work.hears_stop:
        said["hears_stop"] = True
    return {"workflow": said if len(said) > 1 else work.workflow}


def fields(task: TaskDefinition) -> Iterator[Field]:
    yield Field(("workflow", "payload"), cast("WorkflowCall", task.work).payload, as_data)


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    """Without a payload of its own it is given its run's input, when it is offered."""
    work = cast("WorkflowCall", task.work)
    own = {} if work.payload is None else {"payload": found["workflow.payload"]}
    return own | {
        "workflow": work.workflow,
        "timeout": task.timeout.total_seconds() if task.timeout else None,
        "grace": task.grace.total_seconds(),
        "on_lost": task.on_lost,
    }


def call(cursor: Cursor) -> WorkflowCall:
    if not isinstance(cursor.value, dict):
        return WorkflowCall(workflow=workflow_name(cursor))
    section = Section(cursor, PARTS)
    return WorkflowCall(
        workflow=section.need("name", workflow_name, ""),
        payload=section.take("payload", data, None),
        hears_stop=section.take("hears_stop", flag, False),
    )
