"""Chores: what is done about processes in the background, what went wrong with it, and what came
of each attempt."""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal
from scheduler.services import chores
from scheduler.store import chores as stored
from scheduler.store.rows import Row
from ui import frame, lists, query, written
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/chores", route_class=Screen)

SHOWN, EXPORTED, ATTEMPTS = 50, 500, 50
STATES = ("RUNNING", "WAITING", "SCHEDULED", "FAILED")
ENDS = ("SUCCEEDED", "FAILED", "RETRIED", "LOST", "HANDED_BACK", "MERGED", "DELETED")
Id = Annotated[int, Path(alias="chore", ge=1, le=2**63 - 1)]
Connection = AsyncConnection[Any]

LIST = Listing(
    fields=(Field("chore", "Kind", "choice"), Field("status", "State", "choice", STATES)),
    columns=(
        Column("state", "State"),
        Column("kind", "Kind"),
        Column("chore", "Chore"),
        Column("far", "How far"),
        Column("when", "When"),
        Column("attempts", "Attempts", is_num=True),
        Column("args", "What about", is_usual=False),
        Column("lock", "Lock", is_usual=False),
    ),
)
HISTORY = Listing(
    fields=(
        Field("chore", "Kind", "choice"),
        Field("job", "Chore", "number"),
        Field("status", "What became of it", "choice", ENDS),
    ),
    columns=(
        Column("state", "What became of it"),
        Column("kind", "Kind"),
        Column("chore", "Chore"),
        Column("attempt", "Attempt", is_num=True),
        Column("ended", "Ended"),
        Column("took", "Took", is_num=True),
        Column("server", "Server"),
        Column("args", "What about", is_usual=False),
    ),
)
TOLD = ("id", "chore", "status", "args", "attempts", "deferred_at", "scheduled_at", "done", "total")
CELLS: lists.Cells[Row] = {name: itemgetter(name) for name in (*TOLD, "note", "error", "failed_at")}
OF_ENDED = ("id", "job", "chore", "attempt", "status", "server", "started_at", "ended_at", "args")
ENDED: lists.Cells[Row] = {name: itemgetter(name) for name in (*OF_ENDED, "error", "trace")}


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one that was chosen."""

    chore: int
    result: str
    why: str = ""


@router.get("")
async def ui_chores(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter: dict[str, Any] = {
        "chore": asked.text("chore"),
        "status": asked.one_of("status", STATES),
    }
    if asked.format:
        return await lists.exported(asked, "chores", CELLS, reading(stored.page, filter))
    rows = await stored.page(conn, limit=SHOWN + 1, after=asked.number_cursor(), **filter)
    counts = await stored.counts(conn)
    return await frame.page(
        request,
        conn,
        "chores.html",
        asked=asked,
        rows=[with_text(row) for row in rows[:SHOWN]],
        next=asked.next(cursor_of(rows, SHOWN)),
        kinds=counts,
        names=[each["chore"] for each in counts],
        tab="",
        stream="/ui/stream" if asked.is_first else None,
    )


def with_text(row: Row) -> Row:
    return {**row, "args_text": written.compact(row["args"])}


def cursor_of(rows: Sequence[Row], shown: int) -> int | None:
    return int(rows[shown - 1]["id"]) if len(rows) > shown else None


def reading(page: Any, filter: dict[str, Any]) -> lists.Read[Row]:
    async def read(conn: Connection, after: int | None) -> tuple[list[Row], int | None]:
        rows = await page(conn, limit=EXPORTED + 1, after=after, **filter)
        return rows[:EXPORTED], cursor_of(rows, EXPORTED)

    return read


@router.get("/history")
async def ui_chore_history(request: Request, conn: Conn) -> Response:
    asked = HISTORY.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = history_of(asked)
    if asked.format:
        return await lists.exported(asked, "chore-history", ENDED, reading(stored.history, filter))
    rows = await stored.history(conn, limit=SHOWN + 1, after=asked.number_cursor(), **filter)
    planned = await stored.planned(conn)
    return await frame.page(
        request,
        conn,
        "chores_history.html",
        asked=asked,
        rows=[with_text(row) for row in rows[:SHOWN]],
        next=asked.next(cursor_of(rows, SHOWN)),
        names=sorted({*(each["chore"] for each in planned), *(row["chore"] for row in rows)}),
        tab="history",
        stream="/ui/stream" if asked.is_first else None,
    )


def history_of(asked: Asked) -> dict[str, Any]:
    return {
        "chore": asked.text("chore"),
        "job": asked.number("job"),
        "state": asked.one_of("status", ENDS),
    }


@router.get("/retry")
async def ui_retry_chores_confirm(request: Request, conn: Conn) -> Response:
    """How many failed ones of a kind there are, before they wait again."""
    kind = query.text(request, "chore")
    found = [each for each in await stored.counts(conn) if each["chore"] == kind]
    if not found or not found[0]["failed"]:
        raise NotFound(
            "no chore of this kind has failed", remedy="choose one on the page of chores"
        )
    rows = await stored.page(conn, status="FAILED", chore=kind, limit=SHOWN)
    return await frame.page(
        request, conn, "chores_retry.html", kind=kind, failed=found[0]["failed"], rows=rows
    )


@router.post("/retry")
async def ui_retry_chores(request: Request, conn: Conn) -> Response:
    kind = request.state.form.get("chore")
    if not kind or len(kind) > 63:
        raise Invalid("say which kind of chores", field="chore")
    await chores.retry_all(conn, kind)
    return frame.see("/ui/chores", said="chores_retried", chore=kind)


@router.get("/{chore}")
async def ui_chore(chore: Id, request: Request, conn: Conn) -> Response:
    return await chore_page(request, conn, chore)


async def chore_page(
    request: Request, conn: Connection, chore: int, fault: Refusal | None = None
) -> Response:
    """One that is done is known by its history alone."""
    found = await stored.page(conn, id=chore)
    attempts = await stored.history(conn, job=chore, limit=ATTEMPTS)
    if not found and not attempts:
        raise NotFound(
            f"there is no chore {chore}", remedy="what is done is forgotten after a while"
        )
    return await frame.page(
        request,
        conn,
        "chore.html",
        status=frame.status_of(fault) if fault else 200,
        chore=found[0] if found else None,
        id=chore,
        kind=(found or attempts)[0]["chore"],
        args=(found or attempts)[0]["args"],
        attempts=attempts,
        fault=fault,
        stream="/ui/stream",
    )


@router.post("/{chore}/run-now")
async def ui_run_chore(chore: Id, request: Request, conn: Conn) -> Response:
    try:
        await chores.run_now(conn, chore)
    except Conflict as fault:
        return await chore_page(request, conn, chore, fault)
    return frame.see(f"/ui/chores/{chore}", said="chore_now")


@router.post("/{chore}/retry")
async def ui_retry_chore(chore: Id, request: Request, conn: Conn) -> Response:
    try:
        await chores.retry(conn, chore)
    except Conflict as fault:
        return await chore_page(request, conn, chore, fault)
    return frame.see(f"/ui/chores/{chore}", said="chore_retried")


@router.get("/{chore}/delete")
async def ui_delete_chore_confirm(chore: Id, request: Request, conn: Conn) -> Response:
    found = await chores.get(conn, chore)
    return await frame.page(request, conn, "chore_delete.html", chore=found)


@router.post("/{chore}/delete")
async def ui_delete_chore(chore: Id, request: Request, conn: Conn, by: By) -> Response:
    try:
        await chores.delete(conn, chore, by=by)
    except Conflict as fault:
        return await chore_page(request, conn, chore, fault)
    return frame.see("/ui/chores", said="chore_deleted")


# Many at once: exactly those that were ticked

ACTIONS = {"retry": "Retry", "run-now": "Run now", "delete": "Delete"}


@router.post("/chosen/confirm")
async def ui_chores_confirm(request: Request, conn: Conn) -> Response:
    form: Form = request.state.form
    action, ids = action_of(form), chosen(form)
    found = [row for each in ids for row in await stored.page(conn, id=each)]
    if not found:
        raise Conflict("none of these is there any more")
    return await frame.page(
        request, conn, "chores_confirm.html", rows=found, action=action, word=ACTIONS[action]
    )


@router.post("/chosen/decide")
async def ui_decide_chores(request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    action, ids = action_of(form), chosen(form)
    done = [await decided(conn, action, each, by) for each in ids]
    return await frame.page(request, conn, "chores_done.html", done=done, word=ACTIONS[action])


def action_of(form: Form) -> str:
    if form.get("action") not in ACTIONS:
        raise Invalid("say what is to be done with them", field="action")
    return form.get("action")


def chosen(form: Form) -> list[int]:
    """Those that were ticked, and never all instead of none."""
    given = list(dict.fromkeys(form.all("id")))
    if not 1 <= len(given) <= SHOWN:
        raise Invalid(f"choose 1 to {SHOWN} chores", field="id")
    if any(not (each.isascii() and each.isdecimal() and len(each) < 19) for each in given):
        raise Invalid("this is no chore", field="id")
    return [int(each) for each in given]


async def decided(conn: Connection, action: str, chore: int, by: str) -> Done:
    """What cannot be done with one keeps no other."""
    try:
        match action:
            case "retry":
                await chores.retry(conn, chore)
            case "run-now":
                await chores.run_now(conn, chore)
            case _:
                await chores.delete(conn, chore, by=by)
    except (Conflict, NotFound) as fault:
        return Done(chore, "not done", str(fault))
    return Done(chore, "done")
