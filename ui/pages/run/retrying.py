"""Another round of a run: from where, and with which input."""

import json
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.services import runs
from scheduler.store import run_screens
from ui import frame as pages
from ui.forms import Form
from ui.pages.run import asked, frame
from ui.pages.run.routes import router

MOST = 400  # tasks to choose from; others by their names
WHOLE, FAILED = "*", ""


@router.get("/again")
async def ui_run_again_form(run: UUID, request: Request, conn: Conn) -> Response:
    return await page(request, conn, run)


async def page(
    request: Request,
    conn: Any,
    run: UUID,
    *,
    form: Form | None = None,
    fault: Refusal | None = None,
) -> Response:
    found = await runs.get(conn, run)
    asked = request.query_params.get("task", FAILED)[:200]
    return await frame.tab(
        request,
        conn,
        found,
        "run_again.html",
        "",
        fault=fault,
        typed=form,
        names=await run_screens.names(conn, run, MOST),
        given=pages.pretty(found["input"]) if form is None else form.get("input"),
        start=asked if form is None else form.get("from"),
    )


def input_of(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text, parse_constant=refuse)
    except ValueError as error:
        raise Invalid(f"the input is not JSON: {error}", field="input") from None
    if not isinstance(given, dict):
        raise Invalid("the input is an object: {…}", field="input")
    return given


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


@router.post("/again")
async def ui_run_again(
    run: UUID, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form: Form = request.state.form
    try:
        start = form.get("from")
        found = await runs.get(conn, run)
        given = input_of(form.get("input"))
        await runs.retry(
            conn,
            catalog,
            run,
            by=by,
            task=None if start in (WHOLE, FAILED) else start,
            whole=start == WHOLE,
            input=None if given == found["input"] else given,
        )
    except (Invalid, Conflict) as error:
        return await page(request, conn, run, form=form, fault=error)
    return await asked.done(conn, run, "retry")
