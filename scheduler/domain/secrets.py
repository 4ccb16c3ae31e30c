"""What a secret may be called and hold, and where an invocation has place for secrets.

A stored invocation holds names, never values:

    "secrets": {"env": {"DB_PASSWORD": "db/password"}, "files": {"KEYFILE": "deploy-key"},
                "fill": [{"at": ["headers", "Authorization"],
                          "parts": ["Bearer ", {"secret": "api-token"}], "json": false}]}

While a definition is rendered, `secrets.NAME` has the value `marker(NAME)`. The character NUL
guards it: nothing from outside can hold one, so no data can ask for a secret. `lift` turns the
markers into `fill` before the invocation leaves for the database.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

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

Invocation = Mapping[str, Any]
Path = tuple[str | int, ...]

_NAME = r"([a-z0-9._/-]{1,128})"
_MARKER = re.compile(rf"\0secret:{_NAME}\0")
_IN_JSON = re.compile(rf"\\(?:u0000secret:{_NAME}\\u0000|.)")
_NUL, _NUL_IN_JSON = re.compile("(\0)"), re.compile(r"\\(?:(u0000)|.)")


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


def wants(invocation: Invocation | None) -> bool:
    return bool(invocation) and "secrets" in (invocation or {})


def names(invocation: Invocation) -> set[str]:
    """The secrets that it refers to."""
    asked = invocation.get("secrets") or {}
    filled = {
        part["secret"]
        for fill in asked.get("fill") or ()
        for part in fill["parts"]
        if isinstance(part, dict)
    }
    variables = (asked.get(place) or {} for place in ("env", "files"))
    return filled.union(*(each.values() for each in variables))


def resolved(invocation: Invocation, values: Mapping[str, str]) -> dict[str, Any]:
    """With values instead of names: for a worker's memory and a runner's, for no other place.

    `secrets` and `secret_files` are by variable; `masks` are all values, to be hidden in whatever
    comes back.
    """
    asked = invocation.get("secrets") or {}
    filled = {key: value for key, value in invocation.items() if key != "secrets"}
    for fill in asked.get("fill") or ():
        text = "".join(_worded(part, values, is_json=fill.get("json")) for part in fill["parts"])
        filled = _put(filled, fill["at"], text)
    return {
        **filled,
        "secrets": _by_variable(asked.get("env"), values),
        "secret_files": _by_variable(asked.get("files"), values),
        "masks": sorted({values[name] for name in names(invocation)}),
    }


def _by_variable(asked: Mapping[str, str] | None, values: Mapping[str, str]) -> dict[str, str]:
    return {variable: values[name] for variable, name in (asked or {}).items()}


def _worded(part: str | Mapping[str, str], values: Mapping[str, str], *, is_json: Any) -> str:
    if isinstance(part, str):
        return part
    value = values[part["secret"]]
    return json.dumps(value)[1:-1] if is_json else value


def _put(into: Any, at: Sequence[str | int], text: str) -> Any:
    """A copy with the text at that place; nothing else is touched."""
    if not at:
        return text
    copy: Any = dict(into) if isinstance(into, Mapping) else list(into)
    copy[at[0]] = _put(copy[at[0]], at[1:], text)
    return copy


# While rendering


def marker(name: str) -> str:
    """What stands for a secret's value in the scope of expressions."""
    return f"\0secret:{name}\0"


def lift(invocation: Invocation, *, in_json: Collection[str] = ()) -> dict[str, Any]:
    """Moves every marker into `fill`. Keys of `in_json` hold JSON text, as the standard input of a
    python task does. Raises Invalid where something was made of a secret but a longer text."""
    lifted: dict[str, Any] = dict(invocation)
    fills = []
    for at, text in _texts(invocation, ()):
        is_json = at[0] in in_json
        parts = _parts(text, _IN_JSON if is_json else _MARKER)
        if any(isinstance(part, str) and _has_nul(part, is_json) for part in parts):
            raise Invalid(
                f"{'.'.join(map(str, at))}: a secret can only be joined with other text: "
                "keep under its name what is to be sent"
            )
        if any(isinstance(part, dict) for part in parts):
            fills.append({"at": list(at), "parts": parts, "json": is_json})
            lifted = _put(lifted, at, "")
    if fills:
        lifted["secrets"] = {**(lifted.get("secrets") or {}), "fill": fills}
    return lifted


def _texts(value: Any, at: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if "\0" in key:
                raise Invalid(f"{'.'.join(map(str, at))}: a secret cannot be a key")
            yield from _texts(each, (*at, key))
    elif isinstance(value, list | tuple):
        for number, each in enumerate(value):
            yield from _texts(each, (*at, number))


def _has_nul(text: str, is_json: bool) -> bool:
    return any(found[1] for found in (_NUL_IN_JSON if is_json else _NUL).finditer(text))


def _parts(text: str, pattern: re.Pattern[str]) -> list[str | dict[str, str]]:
    parts: list[str | dict[str, str]] = []
    begin = 0
    for found in pattern.finditer(text):
        if found[1] is not None:
            parts += [text[begin : found.start()], {"secret": found[1]}]
            begin = found.end()
    return [part for part in (*parts, text[begin:]) if part != ""]
