"""Runs: a list whose every filter is in its address."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.domain.errors import Invalid
from scheduler.domain.states import RunState
from scheduler.services import run_lists, run_lookup
from scheduler.store import dashboard, process_types
from scheduler.store.rows import Row
from scheduler.store.runs import Filter
from ui import frame, query
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN = 50
TYPES = 500
LATEST = 60  # runs of a type whose times say what is usual
NAMES = ("type", "record", "status", "label", "error", "created_from", "created_to")
WORDS = {"created_from": "since", "created_to": "before", "status": "state", "error": "error has"}


@router.get("/runs")
async def ui_runs(request: Request, conn: Conn) -> Response:
    if any(not value for value in request.query_params.values()):
        return frame.see(request.url.path, **grouped(query.pairs(request)))
    filter = filter_of(request)
    found = await run_lists.page(conn, filter, limit=SHOWN, after=query.run_id(request, "cursor"))
    return await frame.page(
        request,
        conn,
        "runs.html",
        rows=found.rows,
        next=later(request, found.next),
        total=await run_lists.count(conn, filter),
        types=await process_types.page(conn, limit=TYPES),
        usual=await dashboard.usual(conn, sorted({row["type"] for row in found.rows}), LATEST),
        states=[state.value for state in RunState],
        given=request.query_params,
        chosen=request.query_params.getlist("status"),
        chips=chips(request),
        is_first="cursor" not in request.query_params,
        stream=None if "cursor" in request.query_params else "/ui/stream",
    )


def filter_of(request: Request) -> Filter:
    zone = frame.look_of(request).tz
    return Filter(
        type=query.text(request, "type"),
        record=query.text(request, "record"),
        states=[RunState(each) for each in query.among(request, "status", RunState)],
        labels=labels_of(query.text(request, "label")),
        error=query.text(request, "error"),
        created_from=query.moment(request, "created_from", zone),
        created_to=query.moment(request, "created_to", zone),
    )


def labels_of(given: str | None) -> dict[str, str] | None:
    if given is None:
        return None
    name, colon, value = given.partition(":")
    if not colon or not name:
        raise Invalid("a label is written as name:value", field="label")
    return {name: value}


def grouped(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def later(request: Request, cursor: UUID | None) -> str | None:
    if cursor is None:
        return None
    return frame.address(request.url.path, **grouped(query.without(request)), cursor=cursor)


def chips(request: Request) -> list[tuple[str, str, str]]:
    """Each filter that is set: what it says, and the list without it."""
    return [
        (
            WORDS.get(name, name),
            value,
            frame.address(request.url.path, **grouped(query.without(request, **{name: value}))),
        )
        for name, value in query.pairs(request)
        if name in NAMES
    ]


@router.get("/find")
async def ui_find(request: Request, conn: Conn) -> Response:
    """From a few characters to where they lead: a run by its id, or processes by a name."""
    text = query.text(request, "q")
    if text is None:
        return frame.see("/ui/runs")
    found = await runs_called(conn, text)
    if len(found) == 1:
        return frame.see(f"/ui/runs/{found[0]['id']}")
    return frame.see("/ui/processes", q=text)


async def runs_called(conn: AsyncConnection[Any], text: str) -> list[Row]:
    digits = text.replace("-", "").lower()
    is_id = 6 <= len(digits) <= 32 and set(digits) <= set("0123456789abcdef")
    return await run_lookup.by_short_id(conn, text) if is_id else []


def late(run: Row, usual: dict[str, float], now: datetime) -> bool:
    """Whether a run goes on for longer than those of its type do."""
    typical, since = usual.get(run["type"]), run["started_at"]
    if typical is None or since is None or run["finished_at"] is not None:
        return False
    return bool((now - since).total_seconds() > max(1.5 * typical, typical + 2))
