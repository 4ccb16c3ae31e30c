"""What people ask of a run and of its tasks."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Conflict, Invalid
from scheduler.services import runs
from scheduler.services.catalog import Catalog
from scheduler.store.rows import Row
from ui.forms import Form
from ui.pages.run import asked, tasks
from ui.pages.run.routes import router

Connection = AsyncConnection[Any]
Command = Callable[[Connection, Catalog, UUID, Form, str], Awaitable[Row]]


async def hold(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.hold(conn, catalog, run, by=by, freeze="freeze" in form)


async def resume(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.resume(conn, catalog, run, by=by)


async def stop(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    reason = form.get("why").strip()[:500] or None
    return await runs.stop(
        conn, catalog, run, by=by, kill="kill" in form, why=reason, undo="undo" in form
    )


async def retry(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    task = form.get("task").strip() or None
    return await runs.retry(
        conn, catalog, run, by=by, task=task, whole="whole" in form and task is None
    )


async def undo(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.undo(conn, catalog, run, by=by)


async def skip(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.skip_task(conn, catalog, run, form.get("task"), by=by, why=why(form))


async def complete(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    output = output_of(form.get("output"))
    return await runs.mark_task_done(
        conn, catalog, run, form.get("task"), output, by=by, why=why(form)
    )


def why(form: Form) -> str:
    reason = form.get("why").strip()[:500]
    if not reason:
        raise Invalid("say why: it is kept in the history", field="why")
    return reason


def output_of(text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise Invalid(f"the output is not JSON: {error}", field="output") from None


COMMANDS: Mapping[str, Command] = {
    "hold": hold,
    "resume": resume,
    "stop": stop,
    "retry": retry,
    "undo": undo,
    "skip": skip,
    "complete": complete,
}
Verb = Annotated[str, Path(pattern=f"^({'|'.join(COMMANDS)})$")]


@router.post("/{verb}")
async def ui_run_command(
    run: UUID, verb: Verb, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form: Form = request.state.form
    try:
        await COMMANDS[verb](conn, catalog, run, form, by)
    except (Invalid, Conflict) as error:
        return await tasks.page(request, conn, run, fault=error, typed=form, verb=verb)
    return await asked.done(conn, run, "kill" if "kill" in form else verb)
