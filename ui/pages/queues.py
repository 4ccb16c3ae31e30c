"""Queues and limits: what waits where, who has the places, and what may be set."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain import ids
from scheduler.domain.counts import MOST
from scheduler.domain.errors import Invalid, NotFound, Refusal
from scheduler.domain.names import TYPE_NAME, TYPE_NAME_RULE
from scheduler.domain.places import Around, of_queue
from scheduler.services import queues
from scheduler.store import fleet, placements, statistics
from scheduler.store import queues as stored
from scheduler.store.rows import Row
from ui import frame, lists
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN, EXPORTED, OF_ONE = 100, 200, 50
LOOKED_AT = 2_000  # runs, and attempts, that rates are read off
LATELY = timedelta(minutes=5)

Queue = Annotated[str, Path(alias="queue", min_length=1, max_length=1200)]
Key = Annotated[str, Path(alias="key", min_length=1, max_length=1000)]

LIST = Listing(
    fields=(Field("q", "Name has"),),
    columns=(
        Column("name", "Queue"),
        Column("state", "State"),
        Column("ready", "Ready", is_num=True),
        Column("oldest", "Oldest"),
        Column("hand", "In hand", is_num=True),
        Column("rates", "In and out a minute", is_num=True),
        Column("size", "At most", is_num=True),
        Column("workers", "Served by"),
    ),
)
LIMITS = Listing(fields=(Field("q", "Key begins with", hint="key:"),))
CELLS: lists.Cells[Row] = {
    "name": lambda row: row["name"],
    "paused_at": lambda row: row["paused_at"],
    "note": lambda row: row["note"],
    "ready": lambda row: row["ready"],
    "in_hand": lambda row: row["in_hand"],
    "waiting": lambda row: row["waiting"],
    "size": lambda row: row["size"],
    "workers": lambda row: row["workers"],
    "slots": lambda row: row["slots"],
}
LIMIT_CELLS: lists.Cells[Row] = {
    "key": lambda row: row["key"],
    "taken": lambda row: row["taken"],
    "size": lambda row: row["size"],
    "waiting": lambda row: row["waiting"],
    "next_free_at": lambda row: row["next_free_at"],
}

UNKNOWN: Row = dict.fromkeys(
    ("ready", "in_hand", "waiting", "workers", "slots"), 0
) | dict.fromkeys(("paused_at", "note", "size", "updated_by"))


@dataclass(frozen=True, slots=True)
class Told:
    """What the key of a limit stands for, and where it is set."""

    text: str
    place: str


def told_of(key: str) -> Told:
    kind, _, rest = key.partition(":")
    match kind:
        case "queue":
            return Told(f"tasks of the queue {rest}", "set here, for the queue")
        case "type":
            return Told(f"tasks of the type {rest}", "`max_parallel` of the type")
        case "key":
            return Told(f"tasks with the key {rest}", "`limit` of the tasks that name it")
        case "rate":
            seconds, _, what = rest.partition(":")
            return Told(f"tasks with the key {what} in {seconds} s", "`rate` of the tasks")
        case "group":
            name, _, what = rest.partition(":")
            return Told(f"runs of the type {name} with the key {what}", "`concurrency` of the type")
    return Told(key, "the definitions that name it")


@router.get("/queues")
async def ui_queues(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "queues", CELLS, reading(asked), after="")
    rows, next = await reading(asked, SHOWN)(conn, asked.text_cursor() or "")
    return await frame.page(
        request,
        conn,
        "queues.html",
        asked=asked,
        queues=rows,
        next=asked.next(next),
        oldest=await oldest(conn),
        rates=await rates(conn),
        most=MOST,
        stream="/ui/stream" if asked.is_first else None,
    )


def reading(asked: Asked, limit: int = EXPORTED) -> lists.Read[Row]:
    text = asked.text("q")

    async def read(conn: AsyncConnection[Any], after: str) -> tuple[list[Row], str | None]:
        rows = await fleet.queues(conn, limit=limit + 1, most=MOST + 1, after=after, text=text)
        shown = await with_stations(conn, rows[:limit])
        return shown, rows[limit - 1]["name"] if len(rows) > limit else None

    return read


async def with_stations(conn: AsyncConnection[Any], rows: list[Row]) -> list[Row]:
    """A queue of a place is served by the workstations that may claim from it."""
    places = {row["name"]: place for row in rows if (place := of_queue(row["name"]))}
    around = Around(await placements.stations(conn) if places else ())
    serving = {name: len(around.those(place)) for name, place in places.items()}
    return [
        {
            **row,
            "is_place": row["name"] in places,
            "workers": serving.get(row["name"], row["workers"]),
        }
        for row in rows
    ]


async def oldest(conn: AsyncConnection[Any]) -> dict[str, Row]:
    return {row["queue"]: row for row in await statistics.oldest(conn, EXPORTED)}


async def rates(conn: AsyncConnection[Any]) -> dict[str, tuple[float, float]]:
    """Tasks that came and that went, a minute, of each queue."""
    now = (await stored.moment(conn)).now
    came = await fleet.came(conn, lowest=ids.not_before(now - LATELY), most=LOOKED_AT)
    went = await fleet.went(conn, most=LOOKED_AT)
    per_minute = {row["queue"]: 60 * row["tasks"] / row["seconds"] for row in came}
    done = {row["queue"]: 60 * row["attempts"] / row["seconds"] for row in went}
    return {name: (per_minute.get(name, 0), done.get(name, 0)) for name in {*per_minute, *done}}


@router.get("/queues/{queue:path}")
async def ui_queue(queue: Queue, request: Request, conn: Conn) -> Response:
    return await queue_page(request, conn, queue)


async def queue_page(
    request: Request,
    conn: AsyncConnection[Any],
    name: str,
    *,
    fault: Refusal | None = None,
    written: Form | None = None,
) -> Response:
    found = await fleet.queues(conn, limit=1, most=MOST + 1, only=name)
    if not found and fault is None:
        raise NotFound(
            f"there is no queue {name[:200]!r}: it has no setting, no worker and no work"
        )
    return await frame.page(
        request,
        conn,
        "queue.html",
        status=frame.status_of(fault) if fault else 200,
        queue=(await with_stations(conn, found))[0] if found else {**UNKNOWN, "name": name},
        place=of_queue(name),
        oldest=(await oldest(conn)).get(name),
        rate=(await rates(conn)).get(name, (0.0, 0.0)),
        ahead=await fleet.next_up(conn, name, limit=OF_ONE),
        in_hand=await fleet.in_hand_of_queue(conn, name, limit=OF_ONE),
        waiting=await fleet.waiters_of(conn, f"queue:{name}", limit=OF_ONE),
        of_one=OF_ONE,
        most=MOST,
        fault=fault,
        written=written,
        stream=None if fault else "/ui/stream",
    )


@router.post("/queues/{queue:path}/{verb}")
async def ui_queue_command(
    queue: Queue, verb: str, request: Request, conn: Conn, by: By
) -> Response:
    form: Form = request.state.form
    try:
        await carry_out(conn, queue, verb, form, by)
    except (Invalid, NotFound) as error:
        return await queue_page(request, conn, queue, fault=error, written=form)
    return frame.see(f"/ui/queues/{quote(queue, safe='')}", said=f"queue-{verb}")


async def carry_out(conn: AsyncConnection[Any], queue: str, verb: str, form: Form, by: str) -> None:
    if not TYPE_NAME.fullmatch(queue):
        raise Invalid(f"{queue[:80]!r} names no queue: {TYPE_NAME_RULE}", field="name")
    match verb:
        case "pause":
            await queues.pause(conn, queue, note=form.get("note").strip()[:2000] or None, by=by)
        case "resume":
            await queues.resume(conn, queue, by=by)
        case "size":
            await queues.resize(conn, queue, size_of(form.get("size").strip()), by=by)
        case _:
            raise Invalid("a queue is paused, resumed, or given a size", field="verb")


def size_of(given: str) -> int | None:
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) < 10):
        raise Invalid(f"size {given[:40]!r} is no whole number from 1 to 100000", field="size")
    return int(given)


@router.get("/limits")
async def ui_limits(request: Request, conn: Conn) -> Response:
    asked = LIMITS.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "limits", LIMIT_CELLS, reading_limits(asked), after="")
    cursor = asked.given.get("cursor", "")[:1000]
    rows, next = await reading_limits(asked, SHOWN)(conn, cursor)
    return await frame.page(
        request,
        conn,
        "limits.html",
        asked=asked,
        limits=[{**row, "told": told_of(row["key"])} for row in rows],
        next=asked.next(next),
        most=MOST,
        stream="/ui/stream" if asked.is_first else None,
    )


def reading_limits(asked: Asked, limit: int = EXPORTED) -> lists.Read[Row]:
    prefix = asked.text("q") or ""

    async def read(conn: AsyncConnection[Any], after: str) -> tuple[Sequence[Row], str | None]:
        rows = await fleet.limits(conn, limit=limit + 1, most=MOST + 1, after=after, prefix=prefix)
        return rows[:limit], rows[limit - 1]["key"] if len(rows) > limit else None

    return read


@router.get("/limits/{key:path}")
async def ui_limit(key: Key, request: Request, conn: Conn) -> Response:
    holders = await fleet.holders_of(conn, key, limit=OF_ONE)
    waiters = await fleet.waiters_of(conn, key, limit=OF_ONE)
    usage = next(iter(await fleet.limit(conn, key, most=MOST + 1)), None)
    if usage is None and not waiters:
        raise NotFound(
            f"no limit {key[:200]!r} has places at the moment",
            remedy="places are made when something first asks for them",
        )
    return await frame.page(
        request,
        conn,
        "limit.html",
        key=key,
        told=told_of(key),
        usage=usage,
        holders=holders,
        waiters=waiters,
        of_one=OF_ONE,
        most=MOST,
        stream="/ui/stream",
    )
