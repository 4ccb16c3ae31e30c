"""The page of a log: where somebody is in it, and every way to somewhere else."""

from dataclasses import dataclass
from uuid import UUID

from fastapi import Request, Response

from scheduler.api.state import Conn
from scheduler.services import outputs, runs
from scheduler.services.outputs import Extent
from ui import frame, query
from ui.pages.logs import reading, searching
from ui.pages.logs.parts import merged
from ui.pages.logs.reading import Log, View
from ui.pages.logs.routes import Number, Task, router
from ui.pages.logs.searching import Searched


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks of a log: a place, or a search from there."""

    sought: str | None
    is_search: bool
    is_back: bool
    start: int | None
    end: int | None

    @property
    def text(self) -> str | None:
        """None for trouble of any kind."""
        return self.sought


def asked_of(request: Request) -> Asked:
    sought = query.text(request, "q")
    return Asked(
        sought=sought,
        is_search=sought is not None or "trouble" in request.query_params,
        is_back="back" in request.query_params,
        start=query.number(request, "from"),
        end=query.number(request, "to"),
    )


@router.get("/{attempt}/log")
async def ui_log(run: UUID, task: Task, attempt: Number, request: Request, conn: Conn) -> Response:
    found = await outputs.task_of(conn, run, task)
    extent = await outputs.extent(conn, found["id"], attempt)
    asked, log = asked_of(request), Log(conn, found["id"], attempt)
    searched = await search(log, asked, extent) if asked.is_search else None
    view = await look(log, asked, extent, searched)
    here = f"/ui/runs/{run}/tasks/{found['position']}/{attempt}/log"
    return await frame.page(
        request,
        conn,
        "log.html",
        run=await runs.get(conn, run),
        task=found,
        attempt=attempt,
        here=here,
        extent=extent,
        pieces=merged(searching.marked(view.pieces, asked.sought)),
        view=view,
        asked=asked,
        searched=searched,
        ways=ways(here, asked, searched, extent),
        follow=None
        if extent.is_over or view.end < extent.size
        else f"{here}/stream?from={view.end}",
        stream=None,
    )


async def search(log: Log, asked: Asked, extent: Extent) -> Searched:
    if asked.is_back:
        end = extent.size if asked.end is None else min(asked.end, extent.size)
        return await searching.back(log, end, asked.text)
    return await searching.onward(log, min(asked.start or 0, extent.size), asked.text)


async def look(log: Log, asked: Asked, extent: Extent, searched: Searched | None) -> View:
    """From the hit or the offset on; at the end, if nobody says otherwise."""
    missing = missing_of(extent)
    if searched is not None and searched.line is not None:
        return await reading.view_from(log, searched.line, missing)
    if asked.start is not None:
        return await reading.view_from(log, min(asked.start, extent.size), missing)
    end = extent.size if asked.end is None else min(asked.end, extent.size)
    return await reading.view_until(log, end, missing)


def missing_of(extent: Extent) -> str:
    return "were not kept" if extent.is_over else "are not here yet"


def ways(
    here: str, asked: Asked, searched: Searched | None, extent: Extent
) -> list[tuple[str, str]]:
    """From a hit to the next one and the one before; from nowhere, further."""
    if searched is None:
        return []
    what = {"q": asked.sought} if asked.sought else {"trouble": 1}
    is_hit = searched.line is not None
    links = []
    if searched.start > 0:
        text = "Previous hit" if is_hit else "Search further back"
        links.append((text, frame.address(here, **what, back=1, to=searched.start)))
    if searched.end < extent.size:
        text = "Next hit" if is_hit else "Search on"
        links.append((text, frame.address(here, **what, **{"from": searched.end})))
    if is_hit:
        return links
    return [each for each in links if each[0].endswith("back") == asked.is_back]
