"""Processes: types and the records saved of them, with what became of their latest runs."""

from typing import Annotated

import yaml
from fastapi import APIRouter, Path, Request, Response

from scheduler.api.state import Conn
from scheduler.services import definitions, records, run_lists
from scheduler.store import dashboard, process_records, process_types
from scheduler.store.process_records import Filter as RecordFilter
from scheduler.store.runs import Filter
from ui import frame, query
from ui.drawing import charts
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN = 50
STRIP = 20
LATEST = 60
VERSIONS = 20

Type = Annotated[str, Path(min_length=1, max_length=63)]
Record = Annotated[str, Path(min_length=1, max_length=200)]


@router.get("/processes")
async def ui_processes(request: Request, conn: Conn) -> Response:
    text = query.text(request, "q")
    types = await process_types.page(
        conn, text=text, after=query.text(request, "after_type"), limit=SHOWN + 1
    )
    saved = await process_records.page(
        conn,
        RecordFilter(text=text),
        after=query.text(request, "after_record"),
        limit=SHOWN + 1,
    )
    names, ids = [row["name"] for row in types[:SHOWN]], [row["id"] for row in saved[:SHOWN]]
    return await frame.page(
        request,
        conn,
        "processes.html",
        types=types[:SHOWN],
        records=saved[:SHOWN],
        q=text,
        next_type=names[-1] if len(types) > SHOWN else None,
        next_record=ids[-1] if len(saved) > SHOWN else None,
        of_types=strips(await dashboard.results_of_types(conn, names, STRIP)),
        of_records=strips(await dashboard.results_of_records(conn, ids, STRIP)),
        usual=await dashboard.usual(conn, names, LATEST),
        stream="/ui/stream",
    )


def strips(results: dict[str, list[str]]) -> dict[str, object]:
    return {name: charts.strip(states, STRIP) for name, states in results.items()}


@router.get("/processes/{type}")
async def ui_process(type: Type, request: Request, conn: Conn) -> Response:
    version = query.number(request, "version", 2**31 - 1)
    found = await definitions.get(conn, type, version)
    results = await dashboard.results_of_types(conn, [type], STRIP)
    runs = await run_lists.page(conn, Filter(type=type), limit=SHOWN)
    return await frame.page(
        request,
        conn,
        "process.html",
        type=found,
        text=yaml.safe_dump(found["document"], sort_keys=False, allow_unicode=True, width=100),
        versions=await process_types.versions(conn, type, limit=VERSIONS),
        records=await process_records.page(conn, RecordFilter(type=type), limit=SHOWN),
        strip=charts.strip(results.get(type, []), STRIP),
        usual=(await dashboard.usual(conn, [type], LATEST)).get(type),
        runs=runs.rows[:STRIP],
        stream="/ui/stream",
    )


@router.get("/records/{record}")
async def ui_record(record: Record, request: Request, conn: Conn) -> Response:
    found = await records.get(conn, record)
    results = await dashboard.results_of_records(conn, [record], STRIP)
    runs = await run_lists.page(conn, Filter(record=record), limit=STRIP)
    return await frame.page(
        request,
        conn,
        "record.html",
        record=found,
        strip=charts.strip(results.get(record, []), STRIP),
        runs=runs.rows,
        stream="/ui/stream",
    )
