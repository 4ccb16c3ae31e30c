"""`emit`: an event for whoever waits for it."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain.definitions import Emit, TaskDefinition
from scheduler.domain.fields import Field, as_data, as_text
from scheduler.domain.kinds.wait_for import LONGEST_KEY, event_name
from scheduler.domain.readers import data, template
from scheduler.domain.sections import Cursor, Section

KEYS = ("emit",)
BESIDE: frozenset[str] = frozenset()
PARTS = ("event", "key", "data")


def read(section: Section) -> Emit | None:
    return section.take("emit", emitted, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("Emit", task.work)
    rest = {name: value for name in ("key", "data") if (value := getattr(work, name)) is not None}
    return {"emit": {"event": work.event, **rest} if rest else work.event}


def fields(task: TaskDefinition) -> Iterator[Field]:
    work = cast("Emit", task.work)
    if work.key is not None:
        yield Field(("emit", "key"), work.key, as_text(LONGEST_KEY), wants="text")
    yield Field(("emit", "data"), work.data, as_data)


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "event": cast("Emit", task.work).event,
        "key": found.get("emit.key"),
        "data": found["emit.data"],
        "timeout": task.timeout.total_seconds() if task.timeout else None,
    }


def emitted(cursor: Cursor) -> Emit:
    if not isinstance(cursor.value, dict):
        return Emit(event=event_name(cursor))
    section = Section(cursor, PARTS)
    return Emit(
        event=section.need("event", event_name, ""),
        key=section.take("key", template, None),
        data=section.take("data", data, None),
    )
