"""Process records: a type with an input of its own, started by its name."""

from collections.abc import Mapping
from typing import Any

from procession.api.plans import Json, Plan, ask, at, delete, get, pages, post, said


def create_record(
    id: str,
    type: str,
    input: Mapping[str, Any] | None = None,
    *,
    description: str | None = None,
    priority: int | None = None,
) -> Plan[Json]:
    body = said(
        {
            "id": id,
            "type": type,
            "input": dict(input) if input is not None else None,
            "description": description,
            "priority": priority,
        }
    )
    found: Json = yield from ask(post(at("process-records"), body))
    return found


def get_record(id: str) -> Plan[Json]:
    found: Json = yield from ask(get(at("process-records", id)))
    return found


def list_records(*, type: str | None = None, most: int | None = None) -> Plan[list[Json]]:
    return (yield from pages(at("process-records"), most, type=type))


def start_record(
    id: str, input: Mapping[str, Any] | None = None, *, key: str | None = None
) -> Plan[Json]:
    body = said({"input": dict(input) if input is not None else None})
    found: Json = yield from ask(post(at("process-records", id, "start"), body, key=key))
    return found


def delete_record(id: str) -> Plan[None]:
    yield from ask(delete(at("process-records", id)))
