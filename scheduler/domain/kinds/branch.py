"""`branch`: the first case that holds says which of the tasks that follow go on."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain import templates
from scheduler.domain.definitions import Branch, Case, TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.fields import Field, Scope, as_boolean
from scheduler.domain.readers import expression, task_names
from scheduler.domain.sections import Cursor, Section
from scheduler.domain.templates import Template

KEYS = ("branch",)
BESIDE: frozenset[str] = frozenset()


def read(section: Section) -> Branch | None:
    return section.take("branch", branch, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("Branch", task.work)
    cases = [{"when": case.when, "to": list(case.to)} for case in work.cases]
    default = {"default": list(work.default)} if work.default else {}
    return {"branch": {"cases": cases, **default}}


def fields(task: TaskDefinition) -> Iterator[Field]:
    for number, case in enumerate(cast("Branch", task.work).cases):
        path = ("branch", "cases", number, "when")
        yield Field(path, templates.read(case.when), as_test, wants="boolean")


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    work = cast("Branch", task.work)
    limit = {"timeout": task.timeout.total_seconds() if task.timeout else None}
    for number, case in enumerate(work.cases):
        if found[f"branch.cases[{number}].when"]():
            return limit | {"to": list(case.to)}
    return limit | {"to": list(work.default)}


def as_test(template: Template, scope: Scope) -> Any:
    """Asked only when no case before it holds: it may have no value then."""
    return lambda: as_boolean(template, scope)


def branch(cursor: Cursor) -> Branch:
    section = Section(cursor, ("cases", "default"))
    return Branch(
        cases=section.need("cases", cases, ()), default=section.take("default", task_names, ())
    )


def cases(cursor: Cursor) -> tuple[Case, ...]:
    found = tuple(item.read(case, Case(when="", to=())) for item in cursor.items())
    if not found:
        raise Invalid("at least one case is needed")
    return found


def case(cursor: Cursor) -> Case:
    section = Section(cursor, ("when", "to"))
    return Case(when=section.need("when", expression, ""), to=section.need("to", task_names, ()))
