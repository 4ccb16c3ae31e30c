"""`http`: a call of somebody's interface."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, cast
from urllib.parse import quote

from scheduler.domain import templates
from scheduler.domain.definitions import HttpCall, Poll, TaskDefinition
from scheduler.domain.durations import format_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.fields import (
    Field,
    Scope,
    as_data,
    as_secret_text,
    passable,
)
from scheduler.domain.kinds.command import OF_WORKERS
from scheduler.domain.names import HEADER_NAME, HEADER_NAME_RULE
from scheduler.domain.readers import (
    data,
    duration,
    size,
    template,
    template_or_empty,
)
from scheduler.domain.sealed import Reference, Sealed
from scheduler.domain.sections import Cursor, Section, filled_text, flag, one_of, whole
from scheduler.domain.sizes import format_size
from scheduler.domain.templates import Template

KEYS = ("http",)
BESIDE = OF_WORKERS
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
PARTS = (
    "method",
    "url",
    "headers",
    "json",
    "body",
    "expect",
    "retry_on",
    "poll",
    "follow_redirects",
    "allow_private",
    "max_response",
    "verify",
)
OF_A_POLL = ("every", "until", "url_from")
LONGEST_URL = 8000
# How a message is framed and where it goes is not the sender's to say.
FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
    | {"proxy-authorization", "keep-alive", "expect"}
)
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*\Z")
_HOST = re.compile(r"[A-Za-z0-9._-]*(:[0-9]{1,5})?")


def read(section: Section) -> HttpCall | None:
    return section.take("http", call, None)


def write(task: TaskDefinition) -> dict[str, Any]:
    work, usual = cast("HttpCall", task.work), HttpCall(method="GET", url="")
    document: dict[str, Any] = {"url": work.url}
    for name in ("method", "headers", "body", "follow_redirects", "allow_private", "verify"):
        if getattr(work, name) != getattr(usual, name):
            document[name] = getattr(work, name)
    if work.has_json:
        document["json"] = work.json
    for name in ("expect", "retry_on"):
        if getattr(work, name) != getattr(usual, name):
            document[name] = list(getattr(work, name))
    if work.max_response != usual.max_response:
        document["max_response"] = format_size(work.max_response)
    if work.poll:
        document["poll"] = _written_poll(work.poll)
    return {"http": document}


def fields(task: TaskDefinition) -> Iterator[Field]:
    work = cast("HttpCall", task.work)
    yield Field(("http", "url"), templates.read(work.url), as_url, wants="text", secrets=True)
    for name, text in work.headers.items():
        yield Field(("http", "headers", name), text, as_header, wants="text", secrets=True)
    if work.has_json:
        yield Field(("http", "json"), work.json, as_data, secrets=True)
    if work.body is not None:
        yield Field(("http", "body"), work.body, as_secret_text(), wants="text", secrets=True)


def render(task: TaskDefinition, found: Mapping[str, Any]) -> dict[str, Any]:
    work = cast("HttpCall", task.work)
    invocation = {
        "method": work.method,
        "url": found["http.url"],
        "headers": {name: found[f"http.headers.{name}"] for name in work.headers},
        "timeout": task.timeout.total_seconds() if task.timeout else None,
        "retry_on": list(work.retry_on),
        "follow_redirects": work.follow_redirects,
        "allow_private": work.allow_private,
        "max_response": work.max_response,
        "verify": work.verify,
        "on_lost": task.on_lost,
    }
    for name in ("json", "body"):
        if f"http.{name}" in found:
            invocation[name] = found[f"http.{name}"]
    if work.expect:
        invocation["expect"] = list(work.expect)
    if work.poll:
        every, until = work.poll.every.total_seconds(), work.poll.until.total_seconds()
        invocation["poll"] = {"url_from": work.poll.url_from, "every": every, "until": until}
    return invocation


def call(cursor: Cursor) -> HttpCall:
    if isinstance(cursor.value, str):
        return HttpCall(method="GET", url=url(cursor))
    section, usual = Section(cursor, PARTS), HttpCall(method="GET", url="")
    if "json" in section and "body" in section:
        section.entries["body"].fail("a call sends one thing: give either 'json' or 'body'")
    return HttpCall(
        method=section.take("method", one_of(*METHODS), usual.method),
        url=section.need("url", url, ""),
        headers=section.take("headers", headers, {}),
        json=section.take("json", data, None),
        has_json="json" in section,
        body=section.take("body", template_or_empty, None),
        expect=section.take("expect", statuses, ()),
        retry_on=section.take("retry_on", statuses, usual.retry_on),
        poll=section.take("poll", poll, None),
        follow_redirects=section.take("follow_redirects", flag, usual.follow_redirects),
        allow_private=section.take("allow_private", flag, usual.allow_private),
        max_response=section.take("max_response", size(64 << 20), usual.max_response),
        verify=section.take("verify", flag, usual.verify),
    )


def url(cursor: Cursor) -> str:
    text = template(cursor)
    if not text.startswith(("http://", "https://", "${{")):
        raise Invalid("an address begins with https:// or http://, or with an expression")
    return text


def headers(cursor: Cursor) -> dict[str, str]:
    return {name: each.read(header(name), "") for name, each in cursor.entries().items()}


def header(name: str) -> Any:
    def reader(cursor: Cursor) -> str:
        if not HEADER_NAME.fullmatch(name):
            raise Invalid(f"{name[:64]!r} names no header: {HEADER_NAME_RULE}")
        if name.lower() in FRAMING:
            raise Invalid(f"{name} is set by whoever sends the call: leave it out")
        text = template_or_empty(cursor)
        if _breaks_a_line(text):
            raise Invalid("a header is one line: leave the line break out")
        return text

    return reader


def statuses(cursor: Cursor) -> tuple[int, ...]:
    return tuple(sorted({item.read(whole(100, 599), 200) for item in cursor.items()}))


def poll(cursor: Cursor) -> Poll | None:
    section = Section(cursor, OF_A_POLL)
    every, until = section.need("every", duration, None), section.need("until", duration, None)
    if every is None or until is None:
        return None
    found = Poll(every=every, until=until)
    return replace(found, url_from=section.take("url_from", filled_text, found.url_from))


def as_header(template: Template, scope: Scope) -> Any:
    value = as_secret_text(LONGEST_URL)(template, scope)
    texts = value.parts if isinstance(value, Sealed) else (value,)
    if any(isinstance(text, str) and _breaks_a_line(text) for text in texts):
        raise Invalid("the value holds a line break, which would begin another header")
    return value


def as_url(template: Template, scope: Scope) -> Any:
    """A value is one part of the address: it can add neither a step nor a parameter.

    Where the address begins with an expression, that one gives its beginning as it is.
    """
    parts: list[str | Reference] = []
    for number, (part, piece) in enumerate(
        zip(template.parts, template.pieces(scope), strict=True)
    ):
        if isinstance(piece, Reference):
            parts.append(Reference(piece.name, "text" if not number else "url"))
        elif isinstance(part, str) or not number:
            parts.append(piece)
        else:
            parts.append(_escaped(piece, "".join(p if isinstance(p, str) else "x" for p in parts)))
    if any(isinstance(part, Reference) for part in parts):
        return Sealed(tuple(parts))
    return _address("".join(map(str, parts)))


def _escaped(value: str, before: str) -> str:
    if _AUTHORITY.match(before):
        if not _HOST.fullmatch(value):
            raise Invalid(f"{value[:60]!r} is no part of a host's name")
        return value
    if value in (".", ".."):
        raise Invalid(f"{value!r} would lead to another place than the address says")
    return quote(value, safe="")


def _address(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise Invalid(f"{text[:60]!r} is no address: it begins with https:// or http://")
    if re.search(r"[\x00-\x20\x7f]", text):
        raise Invalid("an address holds neither blanks nor line breaks")
    return passable(text, LONGEST_URL)


def _breaks_a_line(text: str) -> bool:
    return any(sign in text for sign in "\r\n\0")


def _written_poll(found: Poll) -> dict[str, str]:
    document = {"every": format_duration(found.every), "until": format_duration(found.until)}
    return document | ({"url_from": found.url_from} if found.url_from != "location" else {})
