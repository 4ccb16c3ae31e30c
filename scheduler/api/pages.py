"""Pages that stay true while rows are added: a cursor names the last row that was seen."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import AfterValidator, BaseModel, Field

from scheduler.api.limits import within_page
from scheduler.domain.counts import Count
from scheduler.domain.errors import Invalid

T = TypeVar("T")
MOST = 1000  # whatever a server allows

Limit = Annotated[
    int, Query(ge=1, le=MOST, description="How many at most."), AfterValidator(within_page)
]
Cursor = Annotated[
    str | None,
    Query(max_length=600, description="`next` of the page before; opaque, and good for long."),
]


class Page(BaseModel, Generic[T]):
    """A part of a list, and where it goes on."""

    items: list[T]
    next: str | None = Field(
        default=None, description="The cursor of the next page; null on the last."
    )


class CountedPage(Page[T], Generic[T]):
    """A part of a list, and how long the whole of it is if that was asked."""

    count: int | None = Field(
        default=None, description="How many pass the filters, with `count=true`."
    )
    count_is_capped: bool | None = Field(
        default=None, description="True if there are more than `count` says."
    )


def counted(count: Count | None) -> dict[str, Any]:
    """What a page says of the whole list."""
    if count is None:
        return {}
    return {"count": count.number, "count_is_capped": count.is_capped}


def page_of(
    rows: Sequence[dict[str, Any]],
    limit: int,
    key: str,
    make: Callable[[dict[str, Any]], T],
) -> Page[T]:
    """`rows` were asked for with one more than `limit`: it says whether there is a next page."""
    shown = rows[:limit]
    more = len(rows) > limit
    return Page(items=[make(row) for row in shown], next=encode(shown[-1][key]) if more else None)


def encode(value: Any) -> str:
    text = json.dumps(value if isinstance(value, int) else str(value), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode(cursor: str | None, kind: Callable[[Any], T]) -> T | None:
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        return kind(json.loads(base64.b64decode(padded, altchars=b"-_", validate=True)))
    except (ValueError, TypeError, binascii.Error, RecursionError) as error:
        raise Invalid(
            "this cursor is not one of ours",
            field="cursor",
            remedy="send `next` of the page before, unchanged, or leave it out",
        ) from error


def text(value: Any) -> str:
    if not isinstance(value, str) or "\x00" in value:
        raise ValueError("not a text")
    return value


def run_id(value: Any) -> UUID:
    return UUID(text(value))


def number(value: Any) -> int:
    if big_number(value) >= 2**31:
        raise ValueError("not a number of ours")
    return int(value)


def big_number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("not a number of ours")
    return value
