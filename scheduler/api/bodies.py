"""Reading what came from outside: bounded, and refused if a database could not store it."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import Request
from starlette.types import Scope

from scheduler.domain.errors import Invalid
from scheduler.settings import ServerSettings

DEPTH = 64
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
BRACKETS = re.compile(rb"[\[\]{}]")
# Operations whose bodies nobody else is to see: nothing of them is told back.
CONFIDENTIAL = frozenset({"set_password", "change_password", "put_secret"})
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class TooLarge(Invalid):
    """More than this server reads."""


class UnknownMedia(Invalid):
    """A body in a format that is not read here."""


class Malformed(Invalid):
    """Not the JSON that it says it is."""


class CarefulRequest(Request):
    """Its body was read within the limit, and its JSON parsed by our rules."""

    async def read(self, limits: ServerSettings) -> None:
        refuse_encoded(self.headers.get("content-encoding", "identity"))
        self._body = await self._bounded(limits.body_limit)
        if self._body and is_json(self.headers.get("content-type", "")):
            self._json = parse(self._body, limits.json_depth)

    async def _bounded(self, limit: int) -> bytes:
        declared = self.headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large(limit)
        chunks, size = [], 0
        async for chunk in self.stream():
            size += len(chunk)
            if size > limit:
                raise too_large(limit)
            chunks.append(chunk)
        return b"".join(chunks)


def refuse_encoded(encoding: str) -> None:
    """A few bytes may stand for as many as there is memory: none of them are unpacked."""
    if encoding.strip().lower() != "identity":
        raise UnknownMedia(
            f"a body in the encoding {encoding[:40]!r} is not read here",
            field="header.Content-Encoding",
            remedy="send it as it is",
        )


def too_large(limit: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit} bytes", field="body", remedy="send less at once"
    )


def is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


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


def refuse_nul(scope: Scope) -> None:
    query: bytes = scope["query_string"]
    if "\x00" in scope["path"] or b"%00" in query or b"\x00" in query:
        raise Invalid("the address holds a NUL character", field="path")
