"""Events that come from outside."""

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from procession.api.plans import Json, Plan, ask, at, pages, post, said


def send_event(
    type: str,
    *,
    key: str = "",
    data: Any = None,
    source: str = "sdk",
    id: str | None = None,
) -> Plan[Json]:
    """The same `source` and `id` again is the same event. `key` is what it is about."""
    known_by = id or str(uuid.uuid4())
    event = {"type": type, "key": key, "data": data, "source": source, "id": known_by}
    return (yield from send_events([event]))


def send_events(events: Iterable[Mapping[str, Any]]) -> Plan[Json]:
    """Says how many were `stored` and how many were `known` before."""
    body = {"events": [said(each) for each in events]}
    found: Json = yield from ask(post(at("events"), body))
    return found


def list_events(
    *, type: str | None = None, key: str | None = None, source: str | None = None, most: int = 200
) -> Plan[list[Json]]:
    return (yield from pages(at("events"), most, type=type, key=key, source=source))
