"""What lists are filtered by, as it stands in an address."""

import re
from typing import Annotated, Any

from fastapi import Query
from pydantic import AwareDatetime, BeforeValidator, Field

from scheduler.domain.errors import Invalid

MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})")


def rfc3339(value: Any) -> Any:
    """A number is no time, and a time without a zone is nobody's."""
    if not isinstance(value, str) or not MOMENT.fullmatch(value):
        raise ValueError("write a time of RFC 3339 with its zone: 2026-01-31T08:00:00Z")
    return value


Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(rfc3339)]


def moment(description: str) -> Any:
    return Query(description=description, examples=["2026-01-31T08:00:00Z"])


CreatedFrom = Annotated[Moment | None, moment("Created at this time or later.")]
CreatedTo = Annotated[Moment | None, moment("Created before this time.")]
FinishedFrom = Annotated[Moment | None, moment("Ended at this time or later.")]
FinishedTo = Annotated[Moment | None, moment("Ended before this time.")]
Text = Annotated[
    str | None,
    Query(min_length=1, max_length=200, description="A part of it, in whatever case."),
]
Label = Annotated[
    list[Annotated[str, Query(pattern=r"^[^:]{1,63}:[\s\S]{0,200}$")]] | None,
    Query(
        max_length=32,
        description="`name:value`. Of several, all must be there.",
        examples=[["team:reports"]],
    ),
]
Counted = Annotated[
    bool,
    Query(description="Say how many pass the filters too; counting ends at 10,000."),
]


def labels(given: list[str] | None) -> dict[str, str] | None:
    """What the labels of a run must hold; nothing has two values of one name."""
    found: dict[str, str] = {}
    for each in given or ():
        name, _, value = each.partition(":")
        if found.setdefault(name, value) != value:
            raise Invalid(
                f"no run has both {name}:{found[name]} and {each}",
                field="label",
                remedy="name each label once",
            )
    return found or None
