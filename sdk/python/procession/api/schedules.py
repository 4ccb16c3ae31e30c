"""Schedules: when runs begin by themselves."""

from collections.abc import Mapping
from typing import Any

from procession.api.plans import Json, Plan, ask, at, delete, get, pages, post, said, send


def create_schedule(
    spec: Mapping[str, Any], *, type: str | None = None, record: str | None = None
) -> Plan[Json]:
    """`spec` as in a definition: `{"cron": "0 3 * * *", "zone": "Europe/Berlin", …}`."""
    body = said({"type": type, "record": record, "spec": dict(spec)})
    found: Json = yield from ask(post(at("schedules"), body))
    return found


def list_schedules(
    *, type: str | None = None, record: str | None = None, paused: bool | None = None
) -> Plan[list[Json]]:
    return (yield from pages(at("schedules"), None, type=type, record=record, paused=paused))


def get_schedule(schedule: str) -> Plan[Json]:
    found: Json = yield from ask(get(at("schedules", schedule)))
    return found


def replace_schedule(schedule: str, spec: Mapping[str, Any]) -> Plan[Json]:
    """Refused if somebody changes it at the same moment."""
    answer = yield get(at("schedules", schedule))
    body = {"spec": dict(spec)}
    edition = answer.headers.get("etag")
    found: Json = yield from ask(send("PUT", at("schedules", schedule), body, edition=edition))
    return found


def delete_schedule(schedule: str) -> Plan[None]:
    yield from ask(delete(at("schedules", schedule)))


def pause_schedule(
    schedule: str, *, until: str | None = None, note: str | None = None
) -> Plan[Json]:
    body = said({"until": until, "note": note})
    found: Json = yield from ask(post(at("schedules", schedule, "pause"), body))
    return found


def resume_schedule(schedule: str) -> Plan[Json]:
    found: Json = yield from ask(post(at("schedules", schedule, "resume")))
    return found


def trigger_schedule(
    schedule: str, input: Mapping[str, Any] | None = None, *, key: str | None = None
) -> Plan[Json]:
    """Now, as if it were due."""
    body = said({"input": dict(input) if input is not None else None})
    found: Json = yield from ask(post(at("schedules", schedule, "trigger"), body, key=key))
    return found


def list_firings(schedule: str, count: int = 5) -> Plan[list[Json]]:
    found = yield from ask(get(at("schedules", schedule, "next"), count=count))
    return list(found["items"])
