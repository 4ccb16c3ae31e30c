"""`sleep` for a length of time, or `at` a moment."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from scheduler.domain import templates
from scheduler.domain.definitions import Sleep, TaskDefinition
from scheduler.domain.durations import format_duration, parse_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.fields import Field, Scope
from scheduler.domain.formats import is_moment
from scheduler.domain.readers import duration, template
from scheduler.domain.sections import Cursor, Section
from scheduler.domain.templates import OPENING, Template

KEYS = ("sleep", "at")
BESIDE: frozenset[str] = frozenset()
MOMENT_RULE = "write a moment with its zone: 2026-12-01T06:00:00Z"


def read(section: Section) -> Sleep | None:
    until, pause = section.take("at", moment, None), section.take("sleep", length, None)
    return Sleep(length=pause, until=until) if until or pause else None


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("Sleep", task.work)
    return {"at": work.until} if work.until is not None else {"sleep": work.length}


def fields(task: TaskDefinition) -> Iterator[Field]:
    work = cast("Sleep", task.work)
    if work.until is not None:
        yield Field(("at",), templates.read(work.until), as_moment, wants="text")
    if work.length is not None:
        yield Field(("sleep",), templates.read(work.length), as_seconds, wants="duration")


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    work = cast("Sleep", task.work)
    limit = {"timeout": task.timeout.total_seconds() if task.timeout else None}
    return limit | (
        {"until": found["at"]} if work.until is not None else {"seconds": found["sleep"]}
    )


def length(cursor: Cursor) -> str:
    if isinstance(cursor.value, str) and OPENING in cursor.value:
        return template(cursor)
    return format_duration(duration(cursor))


def moment(cursor: Cursor) -> str:
    text = template(cursor)
    return text if OPENING in text else checked_moment(text)


def as_seconds(template: Template, scope: Scope) -> float:
    value = template.value(scope)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Invalid("a duration such as 30s or a number of seconds is expected")
    return parse_duration(value).total_seconds()


def as_moment(template: Template, scope: Scope) -> str:
    return checked_moment(template.fill(scope))


def checked_moment(text: str) -> str:
    """As ISO 8601, with its zone."""
    try:
        if not is_moment(text):
            raise ValueError
        return datetime.fromisoformat(text.upper()).isoformat()
    except ValueError:
        raise Invalid(f"{text[:40]!r} is no moment: {MOMENT_RULE}") from None
