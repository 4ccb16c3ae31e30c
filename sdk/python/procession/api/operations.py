"""What operators look after: dead letters, approvals, queues, workers."""

from collections.abc import Mapping
from typing import Any

from procession.api.plans import Json, Plan, ask, at, get, pages, post, said, send


def list_dead_letters(
    *, type: str | None = None, task: str | None = None, most: int | None = 200
) -> Plan[list[Json]]:
    return (yield from pages(at("dead-letters"), most, type=type, task=task))


def redrive(letter: str | int, input: Mapping[str, Any] | None = None) -> Plan[Json]:
    """Its run is taken up again, from what failed."""
    body = said({"input": dict(input) if input is not None else None})
    found: Json = yield from ask(post(at("dead-letters", letter, "redrive"), body))
    return found


def discard(letter: str | int, note: str) -> Plan[Json]:
    found: Json = yield from ask(post(at("dead-letters", letter, "discard"), {"note": note}))
    return found


def list_approvals(*, run: str | None = None, most: int | None = 200) -> Plan[list[Json]]:
    return (yield from pages(at("approvals"), most, run=run))


def approve(
    approval: str, data: Mapping[str, Any] | None = None, note: str | None = None
) -> Plan[Json]:
    body = said({"data": dict(data or {}), "note": note})
    found: Json = yield from ask(post(at("approvals", approval, "approve"), body))
    return found


def reject(approval: str, note: str) -> Plan[Json]:
    found: Json = yield from ask(post(at("approvals", approval, "reject"), {"note": note}))
    return found


def list_workers() -> Plan[list[Json]]:
    found = yield from ask(get(at("workers")))
    return list(found["items"])


def list_queues() -> Plan[list[Json]]:
    found = yield from ask(get(at("queues")))
    return list(found["items"])


def pause_queue(name: str, note: str | None = None) -> Plan[Json]:
    found: Json = yield from ask(post(at("queues", name, "pause"), said({"note": note})))
    return found


def resume_queue(name: str) -> Plan[Json]:
    found: Json = yield from ask(post(at("queues", name, "resume")))
    return found


def set_queue_size(name: str, size: int | None) -> Plan[Json]:
    found: Json = yield from ask(send("PUT", at("queues", name, "size"), {"size": size}))
    return found
