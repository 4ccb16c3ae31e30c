"""Workers: who carries tasks out, what they have in hand, and when they were there."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal
from scheduler.services import workers
from scheduler.store import fleet, queues
from scheduler.store.rows import Row
from ui import frame, lists
from ui.drawing import ribbon
from ui.drawing.svg import Node
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/workers", route_class=Screen)

SHOWN, EXPORTED = 50, 200
HELD, HELD_OF_ONE = 3, 100
PRESENCES = 1_000
INCARNATIONS, LOST = 20, 50
WEEK = timedelta(days=7)
STATES = ("ACTIVE", "DRAINING", "GONE")
VERBS = {"drain": workers.drain, "resume": workers.resume}

Name = Annotated[str, Path(alias="worker", min_length=1, max_length=200)]

LIST = Listing(
    fields=(
        Field("q", "Name or host has"),
        Field("queue", "Serves the queue"),
        Field("status", "State", "states", STATES),
    ),
    columns=(
        Column("name", "Worker"),
        Column("state", "State"),
        Column("hand", "In hand"),
        Column("week", "Last 7 days"),
        Column("queues", "Queues"),
        Column("version", "Version"),
        Column("since", "Began", is_usual=False),
    ),
)
CELLS: lists.Cells[Row] = {
    "name": lambda row: row["name"],
    "state": lambda row: row["state"],
    "kind": lambda row: row["kind"],
    "host": lambda row: row["host"],
    "pid": lambda row: row["pid"],
    "version": lambda row: row["version"],
    "queues": lambda row: " ".join(row["queues"]),
    "slots": lambda row: row["slots"],
    "in_hand": lambda row: row["in_hand"],
    "started_at": lambda row: row["started_at"],
    "renewed_at": lambda row: row["renewed_at"],
}


@router.get("")
async def ui_workers(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "workers", CELLS, reading(asked), after="")
    rows, next = await reading(asked, SHOWN)(conn, asked.text_cursor() or "")
    held = await fleet.in_hand(conn, [row["id"] for row in rows], each=HELD)
    return await frame.page(
        request,
        conn,
        "workers.html",
        asked=asked,
        workers=rows,
        next=asked.next(next),
        counts_of=await fleet.counts(conn),
        held=by_holder(held),
        ribbons=await ribbons(conn, [row["name"] for row in rows]),
        ours=version("procession"),
        states=STATES,
        stream="/ui/stream" if asked.is_first else None,
    )


def reading(asked: Asked, limit: int = EXPORTED) -> lists.Read[Row]:
    state, queue, text = asked.one_of("status"), asked.text("queue"), asked.text("q")

    async def read(conn: AsyncConnection[Any], after: str) -> tuple[list[Row], str | None]:
        rows = await fleet.workers(
            conn, limit=limit + 1, after=after, state=state, queue=queue, text=text
        )
        return rows[:limit], rows[limit - 1]["name"] if len(rows) > limit else None

    return read


def by_holder(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["holder"], []).append(row)
    return found


async def ribbons(conn: AsyncConnection[Any], names: Sequence[str]) -> dict[str, Node]:
    now = (await queues.moment(conn)).now
    stretches: dict[str, list[tuple[datetime, datetime]]] = {name: [] for name in names}
    for row in await fleet.presence(conn, names, limit=PRESENCES):
        stretches[row["name"]].append((row["since"], row["until"]))
    return {name: ribbon.ribbon(found, now - WEEK, WEEK, name) for name, found in stretches.items()}


@router.get("/{worker:path}")
async def ui_worker(worker: Name, request: Request, conn: Conn) -> Response:
    return await worker_page(request, conn, worker)


async def worker_page(
    request: Request, conn: AsyncConnection[Any], name: str, *, fault: Refusal | None = None
) -> Response:
    all = await fleet.incarnations(conn, name, limit=INCARNATIONS)
    if not all:
        raise NotFound(f"there is no worker {name[:200]!r}, and there was none within a month")
    newest = all[0]
    is_gone = newest["state"] == "GONE"
    gone = next((each for each in all if each["state"] == "GONE"), None)
    lost = await fleet.lost(conn, gone["id"], since=gone["renewed_at"], limit=LOST) if gone else []
    return await frame.page(
        request,
        conn,
        "worker.html",
        status=frame.status_of(fault) if fault else 200,
        worker=newest,
        earlier=all[1:],
        held=await fleet.in_hand(conn, [each["id"] for each in all], each=HELD_OF_ONE),
        lost=lost,
        gone=gone,
        is_gone=is_gone,
        ribbon=(await ribbons(conn, [name]))[name],
        ours=version("procession"),
        fault=fault,
        stream="/ui/stream",
    )


@router.post("/chosen/confirm")
async def ui_workers_confirm(request: Request, conn: Conn) -> Response:
    """Shows exactly who was chosen, before anything is asked of them."""
    form: Form = request.state.form
    names, verb = chosen(form), verb_of(form.get("action"))
    found = await fleet.named(conn, names)
    living = [row for row in found if row["state"] != "GONE"]
    if not living:
        raise Conflict("none of these lives any more")
    return await frame.page(
        request,
        conn,
        "workers_confirm.html",
        workers=living,
        left_out=len(names) - len(living),
        verb=verb,
        held=by_holder(await fleet.in_hand(conn, [row["id"] for row in living], each=HELD)),
    )


@router.post("/chosen/decide")
async def ui_decide_workers(request: Request, conn: Conn) -> Response:
    form: Form = request.state.form
    names, verb = chosen(form), verb_of(form.get("action"))
    done, missed = [], []
    for name in names:
        try:
            await VERBS[verb](conn, name)
            done.append(name)
        except NotFound as error:
            missed.append((name, error))
    return await frame.page(request, conn, "workers_done.html", done=done, missed=missed, verb=verb)


@router.post("/{worker:path}/{verb}")
async def ui_worker_command(worker: Name, verb: str, request: Request, conn: Conn) -> Response:
    try:
        await VERBS[verb_of(verb)](conn, worker)
    except NotFound as error:
        return await worker_page(request, conn, worker, fault=error)
    return frame.see(f"/ui/workers/{quote(worker, safe='')}", said=f"worker-{verb}")


def verb_of(given: str) -> str:
    if given not in VERBS:
        raise Invalid("a worker is drained or resumed", field="action")
    return given


def chosen(form: Form) -> list[str]:
    """Those that were ticked, and never all instead of none."""
    given = list(dict.fromkeys(form.all("id")))
    if not 1 <= len(given) <= SHOWN or any(not 1 <= len(each) <= 200 for each in given):
        raise Invalid(f"choose 1 to {SHOWN} workers", field="id")
    return given
