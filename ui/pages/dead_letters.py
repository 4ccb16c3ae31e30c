"""Dead letters: tasks that gave up, taken up again or discarded, one by one or many at once."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.counts import MOST, Count
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.services import dead_letters
from scheduler.services import dead_letters_in_bulk as in_bulk
from scheduler.services.dead_letters import Wish
from scheduler.store import dead_letters as stored
from scheduler.store.dead_letters import Filter
from scheduler.store.rows import Row
from ui import frame, query, schema_values
from ui.forms import Form
from ui.screen import Screen

router = APIRouter(prefix="/dead-letters", route_class=Screen)

SHOWN, GROUPS = 50, 20
STATES = ("OPEN", "REDRIVEN", "DISCARDED")
Id = Annotated[int, Path(alias="letter", ge=1, le=2**63 - 1)]


@router.get("")
async def ui_dead_letters(request: Request, conn: Conn) -> Response:
    state = (query.among(request, "status", STATES) or ["OPEN"])[0]
    filter = Filter(
        state=state,
        type=query.text(request, "type"),
        fingerprint=query.text(request, "fingerprint"),
    )
    rows = await stored.page(conn, filter, limit=SHOWN + 1, after=query.number(request, "after"))
    return await frame.page(
        request,
        conn,
        "dead_letters.html",
        letters=rows[:SHOWN],
        next=rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        total=Count.of(await stored.count(conn, filter, MOST + 1)),
        groups=await stored.groups(conn, GROUPS) if state == "OPEN" else [],
        filter=filter,
        states=STATES,
        stream="/ui/stream" if state == "OPEN" else None,
    )


@router.get("/{letter}")
async def ui_dead_letter(letter: Id, request: Request, conn: Conn) -> Response:
    return await letter_page(request, conn, letter)


async def letter_page(
    request: Request,
    conn: Any,
    letter: int,
    *,
    written: str | None = None,
    fault: Refusal | None = None,
) -> Response:
    found = await dead_letters.get(conn, letter)
    return await frame.page(
        request,
        conn,
        "dead_letter.html",
        status=frame.status_of(fault) if fault else 200,
        letter=found,
        input=frame.pretty(found["input"]) if written is None else written,
        fault=fault,
    )


@router.post("/{letter}/redrive")
async def ui_redrive(
    letter: Id, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form: Form = request.state.form
    try:
        given = schema_values.rest(form.get("input"), "input") if "input" in form else None
        row = await dead_letters.redrive(conn, catalog, letter, by=by, input=given)
    except (Invalid, Conflict) as error:
        written = form.get("input") if "input" in form else None
        return await letter_page(request, conn, letter, written=written, fault=error)
    return frame.see(f"/ui/runs/{row['id']}", said="redriven")


@router.post("/{letter}/discard")
async def ui_discard(letter: Id, request: Request, conn: Conn, by: By) -> Response:
    note = request.state.form.get("note").strip()[:2000]
    try:
        await dead_letters.discard(conn, letter, by=by, note=note)
    except (Invalid, Conflict) as error:
        return await letter_page(request, conn, letter, fault=error)
    return frame.see("/ui/dead-letters", said="discarded")


@router.post("/chosen/confirm")
async def ui_confirm_letters(request: Request, conn: Conn) -> Response:
    """Shows exactly what was chosen, before anything becomes of it."""
    ids = chosen(request.state.form)
    found = [row for row in await each_of(conn, ids) if row["state"] == "OPEN"]
    if not found:
        raise Conflict("none of these is open any more")
    return await frame.page(request, conn, "dead_letters_confirm.html", letters=found)


@router.post("/chosen/decide")
async def ui_decide_letters(request: Request, conn: Conn, catalog: TheCatalog, by: By) -> Response:
    form: Form = request.state.form
    wish = wish_of(form)
    dead_letters.require_sense(wish)
    done = await in_bulk.decide_on(conn, catalog, chosen(form), wish, by=by)
    return await frame.page(
        request,
        conn,
        "dead_letters_done.html",
        done=done,
        counts_of=Counter(each.result for each in done),
    )


def wish_of(form: Form) -> Wish:
    match form.get("action"):
        case "redrive":
            return Wish(action="redrive")
        case "discard":
            return Wish(action="discard", note=form.get("note").strip()[:2000])
    raise Invalid("say whether to re-drive or to discard them", field="action")


def chosen(form: Form) -> list[int]:
    """Those that were ticked, and never all instead of none."""
    given = list(dict.fromkeys(form.all("id")))
    if not 1 <= len(given) <= SHOWN:
        raise Invalid(f"choose 1 to {SHOWN} dead letters", field="id")
    if any(not (each.isascii() and each.isdecimal() and len(each) < 19) for each in given):
        raise Invalid("this is no dead letter", field="id")
    return [int(each) for each in given]


async def each_of(conn: Any, ids: Sequence[int]) -> list[Row]:
    found = [await stored.get(conn, each) for each in ids]
    return [row for row in found if row is not None]
