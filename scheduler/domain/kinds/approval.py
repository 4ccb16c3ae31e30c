"""`approval`: a person decides."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from scheduler.domain import templates
from scheduler.domain.definitions import Approval, TaskDefinition
from scheduler.domain.errors import Invalid
from scheduler.domain.fields import Field, Scope, as_text
from scheduler.domain.readers import once_each, schema, template
from scheduler.domain.sections import Cursor, Section
from scheduler.domain.templates import OPENING, Template

KEYS = ("approval",)
BESIDE: frozenset[str] = frozenset()
PARTS = ("message", "who", "form")
LONGEST_MESSAGE = 10_000
ROLE = "role:"
PERSON = re.compile(rf"({ROLE})?[A-Za-z0-9][A-Za-z0-9._@+-]{{0,199}}")
PERSON_RULE = "write the name of a user, or role: and the name of a role"


def read(section: Section) -> Approval | None:
    return section.take("approval", question, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work = cast("Approval", task.work)
    document: dict[str, Any] = {"message": work.message}
    if work.who:
        document["who"] = list(work.who)
    if work.form is not None:
        document["form"] = dict(work.form)
    return {"approval": document if len(document) > 1 else work.message}


def fields(task: TaskDefinition) -> Iterator[Field]:
    work = cast("Approval", task.work)
    yield Field(("approval", "message"), work.message, as_text(LONGEST_MESSAGE), wants="text")
    for number, who in enumerate(work.who):
        yield Field(("approval", "who", number), templates.read(who), as_person, wants="text")


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    work = cast("Approval", task.work)
    return {
        "message": found["approval.message"],
        "who": [found[f"approval.who[{number}]"] for number in range(len(work.who))],
        "form": work.form,
        "timeout": task.timeout.total_seconds() if task.timeout else None,
    }


def question(cursor: Cursor) -> Approval:
    if not isinstance(cursor.value, dict):
        return Approval(message=template(cursor))
    section = Section(cursor, PARTS)
    return Approval(
        message=section.need("message", template, ""),
        who=section.take("who", people, ()),
        form=section.take("form", schema, None),
    )


def people(cursor: Cursor) -> tuple[str, ...]:
    found = once_each(cursor, person)
    if not found:
        raise Invalid("an empty list would let nobody decide: leave the key out")
    return found


def person(cursor: Cursor) -> str:
    text = template(cursor)
    if OPENING not in text and not PERSON.fullmatch(text):
        raise Invalid(f"{text[:40]!r} is nobody: {PERSON_RULE}")
    return text


def as_person(template: Template, scope: Scope) -> str:
    """A value names a person; only an author writes that a whole role may decide."""
    text = template.fill(scope)
    first = template.parts[0]
    by_author = isinstance(first, str) and first.startswith(ROLE)
    if not PERSON.fullmatch(text) or (text.startswith(ROLE) and not by_author):
        raise Invalid(f"{text[:40]!r} is no user: only plain text may name a role")
    return text
