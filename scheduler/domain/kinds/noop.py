"""`noop`: a joint in a graph, or a measure of the engine itself."""

from collections.abc import Iterator, Mapping
from typing import Any

from scheduler.domain.definitions import TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.fields import Field
from scheduler.domain.kinds.command import OF_WORKERS
from scheduler.domain.sections import Cursor, Section

KEYS = ("noop",)
BESIDE = OF_WORKERS


def read(section: Section) -> None:
    section.take("noop", is_true, True)


def write(task: TaskDefinition) -> dict[str, Any]:
    return {"noop": True}


def fields(task: TaskDefinition) -> Iterator[Field]:
    return iter(())


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def is_true(cursor: Cursor) -> bool:
    if cursor.value is not True:
        raise Invalid("write 'noop: true', or leave it out")
    return True
