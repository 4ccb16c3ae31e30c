"""`get`: the value that another run tells under a key. Only workflows ask for it."""

from collections.abc import Iterator, Mapping
from typing import Any, cast
from uuid import UUID

from scheduler.domain.definitions import GetValue, TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.fields import Field
from scheduler.domain.sections import Cursor, Section

KEYS = ("get",)
BESIDE: frozenset[str] = frozenset()
LONGEST_KEY = 200
NOBODY = UUID(int=0)


def read(section: Section) -> GetValue | None:
    return section.take("get", call, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("GetValue", task.work)
    return {"get": {"run": str(work.run), "key": work.key}}


def fields(task: TaskDefinition) -> Iterator[Field]:
    yield from ()


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    work = cast("GetValue", task.work)
    return {
        "run": str(work.run),
        "key": work.key,
        "timeout": None if task.timeout is None else task.timeout.total_seconds(),
    }


def call(cursor: Cursor) -> GetValue:
    section = Section(cursor, ("run", "key"))
    return GetValue(run=section.need("run", run_id, NOBODY), key=section.need("key", key, "-"))


def run_id(cursor: Cursor) -> UUID:
    try:
        return UUID(cursor.value)
    except (ValueError, TypeError, AttributeError):
        raise Invalid("the id of a run is expected: a UUID", field="run") from None


def key(cursor: Cursor) -> str:
    return checked_key(cursor.value)


def checked_key(value: Any, field: str = "key") -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_KEY:
        raise Invalid(f"a text of 1 to {LONGEST_KEY} characters is expected", field=field)
    return value
