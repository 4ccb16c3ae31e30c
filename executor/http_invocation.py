"""What an HTTP call is asked to do, as it was rendered: checked before anything is sent."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
RETRY_ON = frozenset({408, 425, 429, 500, 502, 503, 504})
LONGEST_URL = 8000
MOST_RESPONSE = 16 << 20
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# How a message is framed and where it goes is not the sender's to say.
FRAMING = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
    | {"proxy-authorization", "proxy-connection", "keep-alive", "expect"}
)

Range = tuple[int, int]


class Malformed(ValueError):
    """Names the field, and says what it may hold. Values may be secret, so none is shown."""


@dataclass(frozen=True, slots=True)
class Polling:
    """After 202: ask at the address that the answer names, until it says something else."""

    every: float
    until: float
    url_from: str = "location"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpInvocation:
    method: str
    url: httpx.URL = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # names in small letters
    content: bytes | None = field(default=None, repr=False)
    timeout: float | None = None  # seconds, of all that is done
    expect: tuple[Range, ...] = ((200, 299),)
    retry_on: frozenset[int] = RETRY_ON
    poll: Polling | None = None
    follow_redirects: bool = False
    allow_private: bool = False
    max_response: int = 256 << 10
    verify: bool = True

    def expects(self, status: int) -> bool:
        return any(low <= status <= high for low, high in self.expect)


def read(given: Mapping[str, Any]) -> HttpInvocation:
    """From a rendered invocation; what is absent or null is as usual."""
    found = {name: value for name, value in given.items() if value is not None}
    headers = read_headers(found.get("headers", {}))
    content, kind = read_content(given)
    if kind is not None:
        headers = {"content-type": kind, **headers}
    options: dict[str, Any] = {
        name: found[name]
        for name in ("follow_redirects", "allow_private", "verify")
        if is_a(bool, name, found)
    }
    if is_a((int, float), "timeout", found):
        options["timeout"] = float(found["timeout"])
    if is_a(int, "max_response", found):
        options["max_response"] = min(found["max_response"], MOST_RESPONSE)
    if "expect" in found:
        options["expect"] = tuple(read_range(each) for each in found["expect"])
    if "retry_on" in found:
        options["retry_on"] = frozenset(found["retry_on"])
    if "poll" in found:
        options["poll"] = read_poll(found["poll"])
    return HttpInvocation(
        method=read_method(found.get("method", "GET")),
        url=read_url(found.get("url")),
        headers=headers,
        content=content,
        **options,
    )


def is_a(kind: Any, name: str, found: Mapping[str, Any]) -> bool:
    if name in found and not isinstance(found[name], kind):
        raise Malformed(f"{name}: not what this field may hold")
    return name in found


def read_method(method: Any) -> str:
    if method not in METHODS:
        raise Malformed(f"method: one of {', '.join(METHODS)} is expected")
    return str(method)


def read_url(text: Any, base: httpx.URL | None = None) -> httpx.URL:
    """An absolute address; relative to `base` where that is given."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST_URL:
        raise Malformed(f"url: a text of {LONGEST_URL} characters at most is expected")
    try:
        url = base.join(text) if base else httpx.URL(text)
        url.raw_host.decode("ascii")
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise Malformed("url: this is no address") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise Malformed("url: an address that begins with https:// or http:// is expected")
    if url.userinfo:
        raise Malformed("url: a password in an address ends up in logs; send it in a header")
    return url.copy_with(fragment=None)


def read_headers(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise Malformed("headers: names with their values are expected")
    headers: dict[str, str] = {}
    for name, value in given.items():
        if not HEADER_NAME.fullmatch(name):
            raise Malformed(f"headers: {name[:40]!r} names no header")
        if name.lower() in FRAMING:
            raise Malformed(f"headers.{name}: it is set by whoever sends the call; leave it out")
        if not isinstance(value, str) or not HEADER_VALUE.fullmatch(value):
            raise Malformed(f"headers.{name}: one line of Latin-1 text is expected")
        headers[name.lower()] = value.strip(" \t")
    return headers


def read_content(given: Mapping[str, Any]) -> tuple[bytes | None, str | None]:
    """What is sent, and of which kind it is; JSON may be null."""
    if given.get("body") is not None:
        body = given["body"]
        if not isinstance(body, str):
            raise Malformed("body: a text is expected; give data as 'json'")
        return body.encode(errors="surrogateescape"), "text/plain; charset=utf-8"
    if "json" in given:
        return json.dumps(given["json"], separators=(",", ":")).encode(), "application/json"
    return None, None


def read_range(value: Any) -> Range:
    low, high = (value, value) if isinstance(value, int) else value
    return int(low), int(high)


def read_poll(given: Mapping[str, Any]) -> Polling:
    return Polling(float(given["every"]), float(given["until"]), given.get("url_from", "location"))
