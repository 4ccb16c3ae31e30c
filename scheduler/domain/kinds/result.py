"""`result`: what another run came to. Only workflows ask for it."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain.definitions import GetResult, TaskDefinition
from scheduler.domain.fields import Field
from scheduler.domain.kinds.get import NOBODY, run_id
from scheduler.domain.sections import Cursor, Section

KEYS = ("result",)
BESIDE: frozenset[str] = frozenset()


def read(section: Section) -> GetResult | None:
    return section.take("result", call, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    return {"result": {"run": str(cast("GetResult", task.work).run)}}


def fields(task: TaskDefinition) -> Iterator[Field]:
    yield from ()


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": str(cast("GetResult", task.work).run),
        "timeout": None if task.timeout is None else task.timeout.total_seconds(),
    }


def call(cursor: Cursor) -> GetResult:
    return GetResult(run=Section(cursor, ("run",)).need("run", run_id, NOBODY))
