"""From a few characters to where they lead."""

from typing import Any

from fastapi import Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.services import run_lookup
from scheduler.store.rows import Row
from ui import frame, query
from ui.pages.runs.routes import router


@router.get("/find")
async def ui_find(request: Request, conn: Conn) -> Response:
    """A run by its id, or processes by a name."""
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
