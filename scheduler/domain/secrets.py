"""What a secret may be called and hold, who may use it, and how names become values at last.

A stored invocation holds names, never values: by variable, and in the places of `sealed`.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from scheduler.domain import sealed
from scheduler.domain.errors import Invalid
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE

SECRET_NAME = re.compile(r"(?=.{1,128}\Z)[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")
SECRET_NAME_RULE = (
    "a secret's name is up to 128 of a-z, 0-9, '.', '-' and '_', in parts that '/' divides"
)
SHORTEST = 4  # bytes: what is shorter cannot be hidden in output
LONGEST = 16 << 10
MOST_GRANTS = 100
EVERY_TYPE = "*"


def check_name(name: str) -> str:
    if not SECRET_NAME.fullmatch(name):
        raise Invalid(f"{name[:140]!r} names no secret: {SECRET_NAME_RULE}", field="name")
    return name


def check_value(value: str) -> str:
    """The refusal tells nothing of the value but its length."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise Invalid("the value is no Unicode text: encode it as base64", field="value") from None
    if "\0" in value:
        raise Invalid("the value holds the character NUL: encode it as base64", field="value")
    if len(value.strip().encode()) < SHORTEST:
        raise Invalid(
            f"the value has less than {SHORTEST} bytes, so it could not be hidden in output: "
            "choose a longer one",
            field="value",
        )
    if size > LONGEST:
        raise Invalid(
            f"the value has {size} bytes, and a secret has {LONGEST} at most: "
            "encrypt what is larger, and keep its key here",
            field="value",
        )
    return value


def check_grants(grants: Sequence[str]) -> list[str]:
    """Types that may use a secret, each once; `*` stands for all of them."""
    for type in grants:
        if type != EVERY_TYPE and not TYPE_NAME.fullmatch(type):
            raise Invalid(f"{type[:80]!r} names no type: {TYPE_NAME_RULE}", field="grants")
    if len(grants) > MOST_GRANTS:
        raise Invalid(
            f"{len(grants)} types are more than {MOST_GRANTS}: grant it to '*'", field="grants"
        )
    return sorted(set(grants))


def is_granted(grants: Collection[str], type: str) -> bool:
    return EVERY_TYPE in grants or type in grants


def wants(invocation: Mapping[str, Any] | None) -> bool:
    return bool(invocation) and "secrets" in (invocation or {})


def resolved(invocation: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    """With values instead of names: for a worker's memory and a runner's, for no other place.

    `secrets` and `secret_files` are by variable; `masks` are all values, to be hidden in whatever
    comes back.
    """
    opened = sealed.opened(invocation, values)
    asked = opened.pop("secrets", {})
    return {
        **opened,
        "secrets": {variable: values[name] for variable, name in asked.get("env", {}).items()},
        "secret_files": {var: values[name] for var, name in asked.get("files", {}).items()},
        "masks": sorted({values[name] for name in sealed.names(invocation)}),
    }
