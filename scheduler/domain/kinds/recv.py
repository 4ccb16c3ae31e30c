"""`recv`: the next message of a topic that was sent to the run. Only workflows ask for it."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain.definitions import Receive, TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.fields import Field
from scheduler.domain.sections import Cursor, Section

KEYS = ("recv",)
BESIDE: frozenset[str] = frozenset()
LONGEST_TOPIC = 200


def read(section: Section) -> Receive | None:
    return section.take("recv", call, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    return {"recv": {"topic": cast("Receive", task.work).topic}}


def fields(task: TaskDefinition) -> Iterator[Field]:
    yield from ()


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "topic": cast("Receive", task.work).topic,
        "timeout": None if task.timeout is None else task.timeout.total_seconds(),
    }


def call(cursor: Cursor) -> Receive:
    return Receive(topic=Section(cursor, ("topic",)).take("topic", topic, ""))


def topic(cursor: Cursor) -> str:
    return checked_topic(cursor.value)


def checked_topic(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TOPIC:
        raise Invalid(f"a topic is a text of at most {LONGEST_TOPIC} characters", field="topic")
    return value
