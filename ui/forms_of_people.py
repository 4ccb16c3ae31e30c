"""Fields of forms about people and tokens, read as the API reads them."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import get_args

from scheduler.domain.errors import Invalid
from scheduler.services.access import Role, Scope
from ui.forms import Form

NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,62}")
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
SCOPES: tuple[str, ...] = get_args(Scope)


def name(given: str) -> str:
    given = given.strip()
    if not NAME.fullmatch(given):
        raise Invalid(
            f"{given[:80]!r} names no user",
            field="name",
            remedy="1 to 63 of a-z, 0-9, '.', '_', '@' and '-', a letter or digit first",
        )
    return given


def display_name(given: str) -> str:
    given = given.strip()
    if len(given) > 200:
        raise Invalid("the name to show has more than 200 characters", field="display_name")
    return given


def email(given: str) -> str | None:
    given = given.strip()
    if given and (len(given) > 254 or not EMAIL.fullmatch(given)):
        raise Invalid(f"{given[:80]!r} is no e-mail address", field="email")
    return given or None


def role(given: str, among: Iterable[Role]) -> Role:
    known = {each.value: each for each in among}
    if given not in known:
        raise Invalid(
            f"{given[:40]!r} is no role", field="role", remedy="take one of " + ", ".join(known)
        )
    return known[given]


def token_name(given: str) -> str:
    given = given.strip()
    if not 1 <= len(given) <= 200:
        raise Invalid("a token has a name of 1 to 200 characters", field="name")
    return given


def scopes(form: Form) -> list[str] | None:
    """None for all; that none was ticked says so by another field."""
    if form.get("reach") != "some":
        return None
    given = list(dict.fromkeys(form.all("scope")))
    if not given:
        raise Invalid(
            "no part of the API is ticked", field="scope", remedy="tick some, or take all"
        )
    if unknown := [each for each in given if each not in SCOPES]:
        raise Invalid(f"{unknown[0][:40]!r} is no part of the API", field="scope")
    return given


def moment(given: str, zone: tzinfo) -> datetime | None:
    """As a field for date and time has it, in the zone of whoever typed it; empty for never."""
    given = given.strip()
    if not given:
        return None
    try:
        found = datetime.fromisoformat(given)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(
            f"{given[:40]!r} is no time such as 2030-01-31T12:00", field="expires_at"
        ) from None


def chosen(form: Form, what: str, most: int) -> list[int]:
    """Those that were ticked, and never all instead of none."""
    given = list(dict.fromkeys(form.all("id")))
    if not 1 <= len(given) <= most:
        raise Invalid(f"choose 1 to {most} {what}", field="id")
    if any(not (each.isascii() and each.isdecimal() and len(each) < 19) for each in given):
        raise Invalid(f"this is none of the {what}", field="id")
    return [int(each) for each in given]
