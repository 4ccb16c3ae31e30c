"""`python`: a function, called in an interpreter of its own."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain.definitions import PythonCall, TaskDefinition
from scheduler.domain.fields import Field, as_data
from scheduler.domain.kinds.command import (
    OF_CHILDREN,
    OF_PLACES,
    OF_WORKERS,
    for_children,
    of_children,
)
from scheduler.domain.names import CALL_NAME, CALL_NAME_RULE
from scheduler.domain.readers import data_map, plain_text
from scheduler.domain.sections import Cursor, Section, filled_text

KEYS = ("python",)
BESIDE = OF_CHILDREN | OF_WORKERS | OF_PLACES
PARTS = ("call", "args", "interpreter")

called = plain_text(CALL_NAME, CALL_NAME_RULE)


def read(section: Section) -> PythonCall | None:
    return section.take("python", call, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("PythonCall", task.work)
    if not work.args and work.interpreter is None:
        return {"python": work.call}
    document: dict[str, Any] = {"call": work.call}
    if work.args:
        document["args"] = dict(work.args)
    if work.interpreter is not None:
        document["interpreter"] = work.interpreter
    return {"python": document}


def fields(task: TaskDefinition) -> Iterator[Field]:
    work = cast("PythonCall", task.work)
    yield Field(("python", "args"), work.args, as_data, secrets=True)
    yield from of_children(task)


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    work = cast("PythonCall", task.work)
    return {
        "call": work.call,
        "args": found["python.args"],
        "interpreter": work.interpreter,
        **for_children(task, found),
    }


def call(cursor: Cursor) -> PythonCall:
    if not isinstance(cursor.value, dict):
        return PythonCall(call=called(cursor))
    section = Section(cursor, PARTS)
    return PythonCall(
        call=section.need("call", called, ""),
        args=section.take("args", data_map, {}),
        interpreter=section.take("interpreter", interpreter, None),
    )


def interpreter(cursor: Cursor) -> str:
    path = filled_text(cursor)
    if not path.startswith("/") or "${{" in path:
        cursor.fail("the whole path of an interpreter is expected, such as /srv/venv/bin/python")
    return path
