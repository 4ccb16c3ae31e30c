"""Questions without a connection: a plan says what to ask next, and is told the answers.

A plan is a generator. It yields `Request`s, is sent what the server said, and returns its result,
so one text serves a client that blocks and one that awaits.
"""

import json
import uuid
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

Json = dict[str, Any]
T = TypeVar("T")

YAML, JSON, TEXT = "application/yaml", "application/json", "text/plain"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    patience: float = 30.0  # seconds that the answer may take


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content) if self.content else None


Plan = Generator[Request, Answer, T]
API = "/api/v1"


def get(path: str, **params: Any) -> Request:
    return Request("GET", path, params=present(params))


def put_off(path: str, seconds: int) -> Request:
    """Answered when something has come to its end, or after so long."""
    headers = {"Prefer": f"wait={seconds}"} if seconds else {}
    return Request("GET", path, headers=headers, patience=seconds + 30.0)


def post(path: str, body: Any = None, *, key: str | None = None, **headers: str) -> Request:
    """With a key of its own if none is given, so it may be asked again when no answer came."""
    told = {"Idempotency-Key": key or str(uuid.uuid4()), "Content-Type": JSON, **headers}
    return Request("POST", path, headers=told, content=dump({} if body is None else body))


def send(method: str, path: str, body: Any, *, edition: str | None = None) -> Request:
    """`edition` is the ETag of what was read: refused if somebody has changed it since."""
    headers = {"Content-Type": JSON, **({"If-Match": edition} if edition else {})}
    return Request(method, path, headers=headers, content=dump(body))


def delete(path: str) -> Request:
    return Request("DELETE", path)


def ask(request: Request) -> Plan[Any]:
    """The whole of a plan with one question."""
    answer = yield request
    return answer.json()


def pages(path: str, most: int | None, **params: Any) -> Plan[list[Json]]:
    """All items, or so many, over as many pages as that takes."""
    items: list[Json] = []
    cursor = None
    while True:
        size = 200 if most is None else min(200, most - len(items))
        page = yield from ask(get(path, **params, limit=size, cursor=cursor))
        items += page["items"]
        cursor = page.get("next")
        if cursor is None or (most is not None and len(items) >= most):
            return items


def dump(body: Any) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()


def present(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: shown(value) for name, value in params.items() if value is not None}


def shown(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def said(body: Mapping[str, Any]) -> Json:
    """Without what was left out."""
    return {name: value for name, value in body.items() if value is not None}


def at(*parts: object) -> str:
    """A path below the API: each part is one name, whatever is in it."""
    return "/".join((API, *(quote(str(each), safe="") for each in parts)))
