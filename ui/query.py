"""What an address says of a list; an empty field says nothing."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from uuid import UUID

from fastapi import Request

from scheduler.domain.errors import Invalid

LONGEST = 200


def text(request: Request, name: str) -> str | None:
    value = request.query_params.get(name, "").strip()
    if len(value) > LONGEST:
        raise Invalid(f"{name} is longer than {LONGEST} characters", field=name)
    return value or None


def among(request: Request, name: str, known: Iterable[str]) -> list[str]:
    given, allowed = request.query_params.getlist(name), set(known)
    if unknown := [each for each in given if each and each not in allowed]:
        raise Invalid(f"{name} cannot be {unknown[0][:40]!r}", field=name)
    return list(dict.fromkeys(each for each in given if each))


def run_id(request: Request, name: str) -> UUID | None:
    value = text(request, name)
    try:
        return UUID(value) if value else None
    except ValueError:
        raise Invalid(f"{name} is no id of a run", field=name) from None


def number(request: Request, name: str, most: int = 2**62) -> int | None:
    value = text(request, name)
    if value is None:
        return None
    if not (value.isascii() and value.isdecimal() and int(value[:20]) <= most):
        raise Invalid(f"{name} is no number from 0 to {most}", field=name)
    return int(value)


def moment(request: Request, name: str, zone: tzinfo) -> datetime | None:
    """As a field for date and time has it; without a zone, in that of the person who looks."""
    value = text(request, name)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{name} is no time such as 2026-05-17T12:00", field=name) from None


def pairs(request: Request) -> list[tuple[str, str]]:
    return [(name, value) for name, value in request.query_params.multi_items() if value]


def without(request: Request, **gone: Any) -> list[tuple[str, str]]:
    """The filters but for some: a name with None goes whole, one with a value loses that value."""
    left: Mapping[str, Any] = {"cursor": None, "said": None, **gone}
    return [
        (name, value)
        for name, value in pairs(request)
        if not (name in left and left[name] in (None, value))
    ]
