"""What workflows call: positions among the tasks of their run, and definitions.

A call is a task whose document says values and nothing to be worked out: whatever stands in a text
is that text, also where it looks like an expression. Only which event is meant is an expression.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from scheduler.domain import kinds, task_reading
from scheduler.domain.definitions import TaskDefinition
from scheduler.domain.documents import UnreadableDocument, node_of
from scheduler.domain.errors import Invalid
from scheduler.domain.readers import duration_or_none
from scheduler.domain.sections import Cursor, Faults, Section
from scheduler.domain.templates import ESCAPED, OPENING
from scheduler.domain.values import refuse_unstorable

FIRST = 1_000_000_000  # position of a call: all other tasks of a run come before
MOST = 99_999  # calls of one workflow in one round
STRIDE = MOST + 1

# What programs do themselves; all other calls are the server's to see to.
OWN = frozenset({"step", "moment", "patch", "send", "set", "write"})

# What is carried out elsewhere as the document says, and not as a published type does.
CODE = frozenset({"run", "python", "http"})

Document = Mapping[str, Any]


def read(document: Document) -> TaskDefinition:
    """Raises Invalid."""
    refuse_unstorable(document, "task")
    faults = Faults("task")
    try:
        cursor = Cursor(node_of(as_it_is(document)), "", faults)
    except UnreadableDocument as fault:
        raise Invalid(f"task: {fault}", field="task") from None
    asked = next((key for key in kinds.ASKED if key in document), None)
    found = asking(cursor, asked) if asked else task_reading.read_apart("call")(cursor)
    if faults.found:
        raise Invalid("; ".join(faults.lines()[:5]), field="task")
    if found.kind == "workflow":
        raise Invalid(
            "a workflow is no call of another: let it be a run of its own, `process`", field="task"
        )
    return found


def brings_code(definition: TaskDefinition) -> bool:
    return definition.kind in CODE


def asking(cursor: Cursor, key: str) -> TaskDefinition:
    section = Section(cursor, (key, "timeout"))
    work: Any = kinds.KINDS[kinds.ASKED[key]].read(section)
    limit = section.take("timeout", duration_or_none, None)
    return TaskDefinition(name="call", kind=kinds.ASKED[key], work=work, timeout=limit)


def as_it_is(document: Document) -> dict[str, Any]:
    found: dict[str, Any] = literal(document)
    given = document.get("wait_for")
    if isinstance(given, Mapping) and "when" in given:
        found["wait_for"]["when"] = given["when"]
    return found


def literal(value: Any) -> Any:
    """Every text so that reading it gives the text itself."""
    match value:
        case str():
            return value.replace(OPENING, ESCAPED) if OPENING in value else value
        case Mapping():
            return {key: literal(each) for key, each in value.items()}
        case list() | tuple():
            return [literal(each) for each in value]
    return value


def called(name: str, document: Document) -> TaskDefinition:
    """By the name of the call."""
    return replace(read(document), name=name)
