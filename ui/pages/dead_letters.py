"""Dead letters: tasks that gave up, alike ones together, taken up again or discarded."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.counts import MOST, Count
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.services import dead_letters, runs
from scheduler.store import dead_letters as stored
from scheduler.store import process_screens
from scheduler.store.dead_letters import Filter
from scheduler.store.rows import Row
from ui import frame, lists, schema_values
from ui.drawing import spark
from ui.lists import Asked, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/dead-letters", route_class=Screen)

SHOWN, GROUPS, EXPORTED = 50, 12, 500
STATES = ("OPEN", "REDRIVEN", "DISCARDED")
DAYS, PARTS = 14, 28
LENGTH = timedelta(days=DAYS) / PARTS
GROUPED = 20_000  # open letters among which those that are alike are looked for
COUNTED = 2_000  # letters of a kind that its little chart counts
LONGEST = 2_000  # of a reason
Id = Annotated[int, Path(alias="letter", ge=1, le=2**63 - 1)]

LIST = Listing(
    fields=(
        Field("type", "Type"),
        Field("task", "Task"),
        Field("made_from", "Since", "moment"),
        Field("made_to", "Before", "moment"),
        Field("fingerprint", "Kind of error"),
    )
)
TOLD = (
    "id", "state", "type", "task", "error", "fingerprint", "run_id", "round", "made_at",
    "closed_at", "closed_by", "note", "input",
)  # fmt: skip
CELLS: lists.Cells[Row] = {name: itemgetter(name) for name in TOLD}


@router.get("")
async def ui_dead_letters(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = filter_of(asked)
    if asked.format:
        return await lists.exported(asked, "dead-letters", CELLS, reading(filter))
    rows = await stored.page(conn, filter, limit=SHOWN + 1, after=asked.number_cursor())
    is_open = filter.state == "OPEN"
    return await frame.page(
        request,
        conn,
        "dead_letters.html",
        asked=asked,
        letters=rows[:SHOWN],
        next=asked.next(rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None),
        total=Count.of(await stored.count(conn, filter, MOST + 1)),
        groups=await groups(conn) if is_open and asked.is_first and not asked.is_filtered else [],
        grouped=GROUPED,
        state=filter.state,
        states=STATES,
        stream="/ui/stream" if is_open and asked.is_first else None,
    )


def filter_of(asked: Asked) -> Filter:
    return Filter(
        state=asked.one_of("status", STATES) or "OPEN",
        type=asked.text("type"),
        task=asked.text("task"),
        fingerprint=asked.text("fingerprint"),
        made_from=asked.moment("made_from"),
        made_to=asked.moment("made_to"),
    )


def reading(filter: Filter) -> lists.Read[Row]:
    async def read(conn: lists.Conn, after: Any) -> tuple[Sequence[Row], Any]:
        rows = await stored.page(conn, filter, limit=EXPORTED + 1, after=after)
        return rows[:EXPORTED], rows[EXPORTED - 1]["id"] if len(rows) > EXPORTED else None

    return read


async def groups(conn: lists.Conn) -> list[Row]:
    """What is alike, the largest first, each with how it went on over the last days."""
    rows = await process_screens.letter_groups(conn, most=GROUPED, limit=GROUPS)
    kinds = [row["fingerprint"] for row in rows]
    since = datetime.now(UTC) - timedelta(days=DAYS)
    counts = await process_screens.letters_of_groups(
        conn, kinds, since=since, length=LENGTH, parts=PARTS, most=COUNTED
    )
    begun = await process_screens.begun_in(conn, kinds)
    return [
        {
            **row,
            "spark": spark.draw(counts.get(row["fingerprint"], []), f"the last {DAYS} days"),
            "version": begun.get(row["fingerprint"], {}).get("version"),
        }
        for row in rows
    ]


@router.get("/{letter}")
async def ui_dead_letter(letter: Id, request: Request, conn: Conn) -> Response:
    return await letter_page(request, conn, letter)


async def letter_page(
    request: Request,
    conn: Any,
    letter: int,
    *,
    written: str | None = None,
    note: str = "",
    fault: Refusal | None = None,
) -> Response:
    found = await dead_letters.get(conn, letter)
    alike = Filter(type=found["type"], task=found["task"], fingerprint=found["fingerprint"])
    return await frame.page(
        request,
        conn,
        "dead_letter.html",
        status=frame.status_of(fault) if fault else 200,
        letter=found,
        run=await runs.get(conn, found["run_id"]),
        alike=Count.of(await stored.count(conn, alike, MOST + 1)),
        input=frame.pretty(found["input"]) if written is None else written,
        note=note,
        fault=fault,
    )


@router.post("/{letter}/redrive")
async def ui_redrive(
    letter: Id, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form = request.state.form
    written = form.get("input") if "input" in form else None
    try:
        given = None if written is None else schema_values.rest(written, "input")
        row = await dead_letters.redrive(conn, catalog, letter, by=by, input=given)
    except (Invalid, Conflict) as error:
        return await letter_page(request, conn, letter, written=written, fault=error)
    return frame.see(f"/ui/runs/{row['id']}", said="redriven")


@router.post("/{letter}/discard")
async def ui_discard(letter: Id, request: Request, conn: Conn, by: By) -> Response:
    note = request.state.form.get("note").strip()[:LONGEST]
    try:
        await dead_letters.discard(conn, letter, by=by, note=note)
    except (Invalid, Conflict) as error:
        return await letter_page(request, conn, letter, note=note, fault=error)
    return frame.see("/ui/dead-letters", said="discarded")
