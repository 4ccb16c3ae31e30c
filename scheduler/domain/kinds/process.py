"""`process`: a run of another type, or of this one: a child."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain.definitions import ChildCall, TaskDefinition
from scheduler.domain.fields import Field, as_data, as_text
from scheduler.domain.kinds.command import OF_PLACES
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE
from scheduler.domain.readers import data_map, plain_text, templates_by_name
from scheduler.domain.sections import Cursor, Section, flag, whole

KEYS = ("process",)
BESIDE = OF_PLACES
PARTS = ("type", "version", "input", "wait", "labels")

type_name = plain_text(TYPE_NAME, TYPE_NAME_RULE)


def read(section: Section) -> ChildCall | None:
    return section.take("process", call, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("ChildCall", task.work)
    document: dict[str, Any] = {"type": work.type}
    if work.version is not None:
        document["version"] = work.version
    if work.input:
        document["input"] = dict(work.input)
    if not work.wait:
        document["wait"] = False
    if work.labels:
        document["labels"] = dict(work.labels)
    return {"process": document if len(document) > 1 else work.type}


def fields(task: TaskDefinition) -> Iterator[Field]:
    work = cast("ChildCall", task.work)
    yield Field(("process", "input"), work.input, as_data)
    yield Field(("process", "labels"), work.labels, as_text(1000), wants="text")


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    work = cast("ChildCall", task.work)
    return {
        "type": work.type,
        "version": work.version,
        "input": found["process.input"],
        "wait": work.wait,
        "labels": found["process.labels"],
        "timeout": task.timeout.total_seconds() if task.timeout else None,
    }


def call(cursor: Cursor) -> ChildCall:
    if not isinstance(cursor.value, dict):
        return ChildCall(type=type_name(cursor))
    section = Section(cursor, PARTS)
    return ChildCall(
        type=section.need("type", type_name, ""),
        version=section.take("version", whole(1, 2**31 - 1), None),
        input=section.take("input", data_map, {}),
        wait=section.take("wait", flag, True),
        labels=section.take("labels", templates_by_name, {}),
    )
