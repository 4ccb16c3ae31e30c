"""Many dead letters decided on at once: those that were ticked, or a selection.

A selection is frozen when it is made; what is shown is what is decided on, and nothing else.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.services import dead_letters
from scheduler.services import dead_letters_in_bulk as in_bulk
from scheduler.services.dead_letters import Wish
from scheduler.store import dead_letter_selections as selections
from scheduler.store import dead_letters as stored
from scheduler.store.dead_letter_selections import Chosen
from scheduler.store.rows import Row
from ui import frame, query, schema_values
from ui.forms import Form
from ui.pages.dead_letters import LONGEST, SHOWN
from ui.screen import Screen

router = APIRouter(prefix="/dead-letters", route_class=Screen)

TROUBLES = 100
PATIENCE = 1.0  # seconds that whoever sent the form waits; a chore does the rest


@router.post("/chosen/confirm")
async def ui_confirm_letters(request: Request, conn: Conn) -> Response:
    """Shows exactly what was chosen, before anything becomes of it."""
    form: Form = request.state.form
    found = await stored.chosen(conn, chosen(form))
    if not found:
        raise Conflict("none of these is open any more")
    return await frame.page(
        request,
        conn,
        "dead_letters_confirm.html",
        letters=found,
        action=form.get("action"),
    )


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
            return Wish(
                action="redrive", changes=schema_values.rest(form.get("changes"), "changes") or None
            )
        case "discard":
            return Wish(action="discard", note=form.get("note").strip()[:LONGEST])
    raise Invalid("say whether to re-drive or to discard them", field="action")


def chosen(form: Form) -> list[int]:
    """Those that were ticked, and never all instead of none."""
    given = list(dict.fromkeys(form.all("id")))
    if not 1 <= len(given) <= SHOWN:
        raise Invalid(f"choose 1 to {SHOWN} dead letters", field="id")
    if any(not (each.isascii() and each.isdecimal() and len(each) < 19) for each in given):
        raise Invalid("this is no dead letter", field="id")
    return [int(each) for each in given]


@router.post("/selections")
async def ui_select_letters(request: Request, conn: Conn, by: By) -> Response:
    """Freezes what the filters find now; everything only for who says so."""
    form: Form = request.state.form
    found = Chosen(
        type=said(form, "type"),
        task=said(form, "task"),
        fingerprint=said(form, "fingerprint"),
        made_from=moment(form, "made_from"),
        made_to=moment(form, "made_to"),
    )
    made = await in_bulk.select(conn, found, all="all" in form, by=by)
    if not made["letters"]:
        raise Conflict("there is no open dead letter that fits any more")
    return frame.see(f"/ui/dead-letters/selections/{made['id']}")


def said(form: Form, name: str) -> str | None:
    return form.get(name).strip()[:200] or None


def moment(form: Form, name: str) -> datetime | None:
    """As the list of before told it, with its zone."""
    text = form.get(name).strip()
    try:
        return datetime.fromisoformat(text).astimezone(UTC) if text else None
    except (ValueError, OverflowError):
        raise Invalid(f"{name} is no time", field=name) from None


@router.get("/selections/{selection}")
async def ui_letter_selection(selection: UUID, request: Request, conn: Conn) -> Response:
    return await selection_page(request, conn, selection)


@router.post("/selections/{selection}")
async def ui_decide_selection(
    selection: UUID, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form: Form = request.state.form
    try:
        await in_bulk.decide_on_selection(
            conn,
            catalog,
            selection,
            wish_of(form),
            expected=expected_of(form),
            by=by,
            patience=PATIENCE,
        )
    except (Invalid, Conflict) as error:
        return await selection_page(request, conn, selection, form=form, fault=error)
    return frame.see(f"/ui/dead-letters/selections/{selection}")


def expected_of(form: Form) -> int:
    text = form.get("expected")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Invalid("this form is not whole: open its page again", field="expected")
    return int(text)


async def selection_page(
    request: Request,
    conn: Any,
    selection: UUID,
    *,
    form: Form | None = None,
    fault: Refusal | None = None,
) -> Response:
    found = await in_bulk.get(conn, selection)
    after = query.number(request, "cursor") if request.method == "GET" else None
    rows = await selections.members(conn, selection, limit=SHOWN + 1, after=after)
    progress = await selections.progress(conn, selection)
    left = progress.get(None, 0)
    return await frame.page(
        request,
        conn,
        "dead_letters_selection.html",
        status=frame.status_of(fault) if fault else 200,
        selection=found,
        letters=rows[:SHOWN],
        next=rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        is_first=after is None,
        results={result: count for result, count in progress.items() if result is not None},
        done=found["letters"] - left,
        time_left=time_left(found, found["letters"] - left, datetime.now(UTC)),
        troubles=await selections.troubles(conn, selection, TROUBLES) if found["action"] else [],
        given=form,
        fault=fault,
        stream="/ui/stream" if found["action"] and left else None,
    )


def time_left(selection: Row, done: int, now: datetime) -> timedelta | None:
    """If it goes on as it went so far."""
    begun: datetime | None = selection["begun_at"]
    if begun is None or not 0 < done < selection["letters"]:
        return None
    return (now - begun) / done * int(selection["letters"] - done)
