"""JSON from outside, read with care: bounded, unambiguous, and storable."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from scheduler.domain.errors import Invalid

DEPTH = 64
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
BRACKETS = re.compile(rb"[\[\]{}]")
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Malformed(Invalid):
    """Not the JSON that it says it is."""


def parse(body: bytes, depth: int = DEPTH) -> Any:
    """JSON without the things that JSON has no word for, or a database no place."""
    require_shallow(body, depth)
    try:
        value = json.loads(
            body.decode(),
            parse_constant=no_constant,
            parse_float=finite,
            parse_int=bounded_int,
            object_pairs_hook=unique,
        )
    except UnicodeDecodeError as error:
        raise Malformed("the body is not UTF-8", field="body") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Malformed(f"the body is not JSON: {error.msg} ({where})", field="body") from error
    if b"\\u" in body:
        require_storable(value)
    return value


def require_shallow(body: bytes, most: int) -> None:
    depth = 0
    for bracket in BRACKETS.findall(STRINGS.sub(b"", body)):
        depth += 1 if bracket in b"[{" else -1
        if depth > most:
            raise Malformed(f"the JSON is nested deeper than {most} levels", field="body")


def no_constant(word: str) -> None:
    raise Malformed(f"{word} is not JSON", field="body")


def finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Malformed(f"the number {text[:20]} is too large", field="body")
    return value


def bounded_int(text: str) -> int:
    if len(text) > 400:
        raise Malformed(f"the number {text[:20]}… is too long", field="body")
    return int(text)


def unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Malformed(f"the key {twice!r} appears twice", field=twice)
    return found


def require_storable(value: Any) -> None:
    for path, text in texts(value, "body"):
        if UNSTORABLE.search(text):
            raise Invalid(
                f"{path} holds a NUL or half a surrogate pair, which text cannot hold",
                field=path,
                remedy="send it as base64, or without that character",
            )


def texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every string in it, with where it stands."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from texts(each, f"{path}[{index}]")
    elif isinstance(value, dict):
        for key, each in value.items():
            yield f"{path} key", key
            yield from texts(each, f"{path}.{key}")
