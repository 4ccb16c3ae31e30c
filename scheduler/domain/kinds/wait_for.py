"""`wait_for`: an event, told by its type and by what it is about."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain import templates
from scheduler.domain.definitions import TaskDefinition, WaitFor
from scheduler.domain.fields import Field, as_boolean, as_text
from scheduler.domain.names import EVENT_NAME, EVENT_NAME_RULE
from scheduler.domain.readers import expression, plain_text, template
from scheduler.domain.sections import Cursor, Section

KEYS = ("wait_for",)
BESIDE: frozenset[str] = frozenset()
PARTS = ("event", "key", "when")
LONGEST_KEY = 500

event_name = plain_text(EVENT_NAME, EVENT_NAME_RULE)


def read(section: Section) -> WaitFor | None:
    return section.take("wait_for", awaited, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("WaitFor", task.work)
    rest = {name: value for name in ("key", "when") if (value := getattr(work, name)) is not None}
    return {"wait_for": {"event": work.event, **rest} if rest else work.event}


def fields(task: TaskDefinition) -> Iterator[Field]:
    work = cast("WaitFor", task.work)
    if work.key is not None:
        yield Field(("wait_for", "key"), work.key, as_text(LONGEST_KEY), wants="text")


def asked(task: TaskDefinition) -> Iterator[Field]:
    """What is looked at when an event comes."""
    work = cast("WaitFor", task.work)
    if work.when is not None:
        condition = templates.read(work.when)
        also = frozenset({"event"})
        yield Field(("wait_for", "when"), condition, as_boolean, wants="boolean", also=also)


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    work = cast("WaitFor", task.work)
    return {
        "event": work.event,
        "key": found.get("wait_for.key"),
        "when": work.when,
        "timeout": task.timeout.total_seconds() if task.timeout else None,
    }


def awaited(cursor: Cursor) -> WaitFor:
    if not isinstance(cursor.value, dict):
        return WaitFor(event=event_name(cursor))
    section = Section(cursor, PARTS)
    return WaitFor(
        event=section.need("event", event_name, ""),
        key=section.take("key", template, None),
        when=section.take("when", expression, None),
    )
