"""The paths that earlier systems document: thin aliases over the same services.

Bodies and casing are theirs; refusals, roles and the idempotency of starts are ours.
"""

import time
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import PlainTextResponse

from scheduler.api import alias_bodies as words
from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.alias_bodies import (
    RECORD_STATES,
    Chain,
    ChainRun,
    Done,
    EditedProcessRecord,
    EngineComponents,
    EngineHealth,
    EngineMetrics,
    EngineStore,
    Execute,
    NewChain,
    NewProcessRecord,
    ProcessDetail,
    ProcessRecordResponse,
    ProcessStatistics,
    ProcessTable,
    ProcessTypes,
    ProcessTypesForTables,
    RecordStatus,
    TaskData,
    TaskDetails,
    Trigger,
    TypeOfProcess,
    WorkflowRunResponse,
    WorkflowRunsResponse,
)
from scheduler.api.documents import problems
from scheduler.api.pages import Cursor, Limit
from scheduler.api.starting import Key
from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Invalid, NotFound
from scheduler.services import aliases, records, runs
from scheduler.services import definitions as published
from scheduler.services.aliases import Step, Wish
from scheduler.services.runs import Order
from scheduler.store import aliases as stored
from scheduler.store import process_types
from scheduler.store import runs as stored_runs
from scheduler.store.runs import Filter

router = APIRouter(tags=["compatibility"], route_class=GuardedRoute)

RecordId = Annotated[str, Path(alias="record", min_length=1, max_length=200)]
TypeName = Annotated[str, Path(alias="name", min_length=1, max_length=63)]
TABLE, ALL = 4096, 65536  # bytes of output shown: in tables, and of one task
TEXT: dict[int | str, dict[str, Any]] = {
    200: {"description": "An id.", "content": {"text/plain": {"schema": {"type": "string"}}}}
}


@router.post("/process-records", responses=problems(404, 409, 413, 422))
async def alias_create_process_record(
    wish: NewProcessRecord, conn: Conn, catalog: TheCatalog, by: By
) -> ProcessRecordResponse:
    """Create a process record; with a schedule it is started by it, in UTC."""
    meant = Wish(
        type=wish.type,
        input=words.input_of(wish.input_data),
        input_text=wish.input_data,
        schedule=wish.schedule,
    )
    row = await aliases.create(conn, catalog, wish.id, meant, by=by)
    return told(row, f"Process record {wish.id} created")


@router.get("/process-records", responses=problems(422))
async def alias_list_process_records(
    conn: Conn,
    response: Response,
    status: RecordStatus | None = None,
    type: Annotated[str | None, Query(max_length=63)] = None,
    limit: Limit = 200,
    cursor: Cursor = None,
) -> list[words.ProcessRecord]:
    """List process records; the header `Next-Cursor` says that there are more, and where."""
    return await listed(conn, response, status, type, limit, cursor)


@router.get("/process-records/{record}", responses=problems(404, 422))
async def alias_get_process_record(record: RecordId, conn: Conn) -> words.ProcessRecord:
    """Show a process record."""
    return words.record(await aliases.get(conn, record))


@router.put("/process-records/{record}", responses=problems(404, 409, 413, 422))
async def alias_replace_process_record(
    record: RecordId, wish: EditedProcessRecord, conn: Conn, catalog: TheCatalog, by: By
) -> ProcessRecordResponse:
    """Change a process record; what is left out stays as it is."""
    text = wish.input_data
    meant = Wish(
        type=wish.type,
        input=None if text is None else words.input_of(text),
        input_text=text,
        schedule=wish.schedule,
    )
    row = await aliases.change(conn, catalog, record, meant, by=by)
    return told(row, f"Process record {record} updated")


@router.delete("/process-records/{record}", responses=problems(404, 409, 422))
async def alias_delete_process_record(record: RecordId, conn: Conn) -> ProcessRecordResponse:
    """Delete a process record that does not run."""
    await records.delete(conn, record)
    return ProcessRecordResponse(message=f"Process record {record} deleted", process_record=None)


@router.post("/process-records/{record}/start", responses=problems(404, 409, 422))
async def alias_start_process_record(
    record: RecordId, conn: Conn, catalog: TheCatalog, by: By, response: Response, key: Key = None
) -> ProcessRecordResponse:
    """Start a run of a process record."""
    begun = await records.start(conn, catalog, record, by=by, key=key)
    mark(response, replayed=begun.replayed)
    return told(await aliases.get(conn, record), f"Process {record} started")


@router.post("/process-records/{record}/stop", responses=problems(404, 409, 422))
async def alias_stop_process_record(
    record: RecordId, conn: Conn, catalog: TheCatalog, by: By
) -> ProcessRecordResponse:
    """Stop the run of a process record."""
    await records.stop(conn, catalog, record, by=by)
    return told(await aliases.get(conn, record), f"Process {record} stopped")


@router.get("/process-types", responses=problems())
async def alias_list_process_types(conn: Conn, catalog: TheCatalog) -> ProcessTypes:
    """List process types with their tasks."""
    types = await all_types(conn, catalog)
    return ProcessTypes(process_types=types, all_task_names=words.task_names(types))


@router.get("/api/process-types", responses=problems())
async def alias_list_process_types_for_tables(
    conn: Conn, catalog: TheCatalog
) -> ProcessTypesForTables:
    """List process types with their tasks, and the names of these for the heads of a table."""
    types = await all_types(conn, catalog)
    names = words.task_names(types)
    return ProcessTypesForTables(process_types=types, all_task_names=names, task_names=names)


@router.get("/api/processes", responses=problems(422))
async def alias_list_processes(
    conn: Conn, catalog: TheCatalog, response: Response, limit: Limit = 50, cursor: Cursor = None
) -> ProcessTable:
    """List process records with the tasks of their latest runs."""
    found = await listed(conn, response, None, None, limit, cursor)
    tasks = await tasks_of(conn, catalog, [each.id for each in found], TABLE)
    names = sorted({task.name for each in tasks.values() for task in each})
    return ProcessTable(task_names=names, processes=found, process_tasks=tasks)


@router.get("/api/processes/{record}", responses=problems(404, 422))
async def alias_get_process(record: RecordId, conn: Conn, catalog: TheCatalog) -> ProcessDetail:
    """Show a process record with the tasks of its latest run."""
    found = words.record(await aliases.get(conn, record))
    tasks = await tasks_of(conn, catalog, [record], ALL)
    return ProcessDetail(process=found, tasks=tasks[record])


@router.get("/api/task-details/{task}", responses=problems(404, 422))
async def alias_get_task_details(
    task: Annotated[str, Path(min_length=1, max_length=220, examples=["nightly-task-0"])],
    conn: Conn,
    catalog: TheCatalog,
) -> TaskDetails:
    """Show a task of the latest run of a process record."""
    record, _, number = task.rpartition("-task-")
    rows = []
    if record and number.isdecimal() and len(number) < 10:
        rows = await stored.tasks(conn, [record], bytes=ALL, position=int(number))
    if not rows:
        raise NotFound(f"there is no task {task!r}: `GET /api/debug/task-ids` lists them")
    [row] = rows
    return words.details(row, await catalog.get(conn, row["type"], row["type_version"]))


@router.get("/api/debug/task-ids", responses=problems(422))
async def alias_list_task_ids(
    conn: Conn, response: Response, limit: Limit = 200, cursor: Cursor = None
) -> list[str]:
    """List the ids of the tasks of as many process records as `limit` says."""
    found = await listed(conn, response, None, None, limit, cursor)
    rows = await stored.tasks(conn, [each.id for each in found], bytes=0)
    return [f"{row['record']}-task-{row['position']}" for row in rows]


@router.get("/api/statistics", responses=problems())
async def alias_get_statistics(conn: Conn) -> ProcessStatistics:
    """Count process records by the state of their latest runs."""
    found = await stored.statistics(conn)
    return ProcessStatistics(
        total_processes=found["total"],
        completed_processes=found["completed"],
        in_progress_processes=found["in_progress"],
        failed_processes=found["failed"],
    )


@router.post(
    "/api/v1/workflows/{name}/execute", status_code=201, responses=problems(404, 409, 413, 422)
)
async def alias_execute_workflow(
    name: TypeName,
    wish: Execute,
    conn: Conn,
    catalog: TheCatalog,
    by: By,
    response: Response,
    key: Key = None,
) -> WorkflowRunResponse:
    """Start a run of a process type."""
    order = Order(type=name, input=input_of(wish), labels=labels_of(wish), by=by, key=key)
    begun = await runs.start(conn, catalog, order)
    mark(response, replayed=begun.replayed)
    return WorkflowRunResponse(data=words.workflow_run(await runs.get(conn, begun.id)))


@router.get("/api/v1/workflows/{name}/runs", responses=problems(404, 422))
async def alias_list_workflow_runs(
    name: TypeName, conn: Conn, response: Response, limit: Limit = 50, cursor: Cursor = None
) -> WorkflowRunsResponse:
    """List the runs of a process type, the newest first."""
    await published.get(conn, name)
    after = pages.decode(cursor, pages.run_id)
    rows = await stored_runs.page(conn, Filter(type=name), after=after, limit=limit + 1)
    page = pages.page_of(rows, limit, "id", words.workflow_run)
    point_on(response, page.next)
    return WorkflowRunsResponse(data=page.items)


@router.get("/api/v1/workflow-runs/{run}", responses=problems(404, 422))
async def alias_get_workflow_run(run: UUID, conn: Conn) -> WorkflowRunResponse:
    """Show a run."""
    return WorkflowRunResponse(data=words.workflow_run(await runs.get(conn, run)))


@router.post("/api/v1/workflow-runs/{run}/pause", responses=problems(404, 409, 422))
async def alias_pause_workflow_run(run: UUID, conn: Conn, catalog: TheCatalog, by: By) -> Done:
    """Begin nothing more of a run."""
    await runs.hold(conn, catalog, run, by=by)
    return Done(message="Workflow paused")


@router.post("/api/v1/workflow-runs/{run}/resume", responses=problems(404, 409, 422))
async def alias_resume_workflow_run(run: UUID, conn: Conn, catalog: TheCatalog, by: By) -> Done:
    """Let a paused run go on."""
    await runs.resume(conn, catalog, run, by=by)
    return Done(message="Workflow resumed")


@router.post("/api/v1/workflow-runs/{run}/cancel", responses=problems(404, 409, 422))
async def alias_cancel_workflow_run(run: UUID, conn: Conn, catalog: TheCatalog, by: By) -> Done:
    """Stop a run and what it has in hand."""
    await runs.stop(conn, catalog, run, by=by)
    return Done(message="Workflow cancelled")


@router.get("/api/v1/health", responses=problems())
async def alias_get_engine_health(conn: Conn) -> EngineHealth:
    """Whether the engine can work. With the database away it is a 503, as everywhere."""
    begun = time.perf_counter()
    load = await stored.load(conn)
    latency = (time.perf_counter() - begun) * 1000
    return EngineHealth(
        status="healthy",
        components=EngineComponents(redis="up", orchestrator="up", kafka="up"),
        metrics=EngineMetrics(
            active_workflows=load["active"],
            scheduled_retries=load["retries"],
            queued_nodes=load["queued"],
        ),
        redis=EngineStore(
            latency_ms=round(latency, 3),
            memory_usage=load["size"],
            connected_clients=load["clients"],
        ),
    )


@router.post(
    "/workflow/",
    response_class=PlainTextResponse,
    responses=TEXT | problems(413, 422),
)
async def alias_define_workflow(wish: NewChain, conn: Conn, by: By) -> str:
    """Publish a chain of actions; the same id again makes a new version.

    Each step waits until a worker serves its action. Its output is the payload of the next step,
    and the last is the final output.
    """
    steps = [Step(each.action, each.step_index) for each in wish.steps]
    await aliases.publish(conn, wish.id, steps, by=by)
    return wish.id


@router.get("/workflow/", responses=problems())
async def alias_list_workflows(conn: Conn) -> list[Chain]:
    """List the chains of actions."""
    documents = [row["document"] for row in await process_types.all(conn)]
    return [words.chain(each) for each in documents if aliases.is_chain(each)]


@router.post(
    "/workflow/{name}/trigger",
    response_class=PlainTextResponse,
    responses=TEXT | problems(404, 409, 413, 422),
)
async def alias_trigger_workflow(
    name: TypeName,
    wish: Trigger,
    conn: Conn,
    catalog: TheCatalog,
    by: By,
    response: Response,
    key: Key = None,
) -> str:
    """Start a run of a process type; its id is the answer."""
    order = Order(type=name, input={"input": wish.input}, by=by, key=key)
    begun = await runs.start(conn, catalog, order)
    mark(response, replayed=begun.replayed)
    return str(begun.id)


@router.get("/workflow/run/{run}", responses=problems(404, 422))
async def alias_get_chain_run(run: UUID, conn: Conn) -> ChainRun:
    """Show a run with the results of its steps."""
    row = await runs.get(conn, run)
    return words.chain_run(row, await stored.results(conn, [run]))


@router.get("/workflow/runs", responses=problems(422))
async def alias_list_chain_runs(
    conn: Conn, response: Response, limit: Limit = 50, cursor: Cursor = None
) -> list[ChainRun]:
    """List runs, the newest first."""
    after = pages.decode(cursor, pages.run_id)
    rows = await stored_runs.page(conn, Filter(), after=after, limit=limit + 1)
    results = await stored.results(conn, [row["id"] for row in rows])
    page = pages.page_of(
        rows,
        limit,
        "id",
        lambda row: words.chain_run(row, [r for r in results if r["run_id"] == row["id"]]),
    )
    point_on(response, page.next)
    return page.items


def told(row: dict[str, Any], message: str) -> ProcessRecordResponse:
    return ProcessRecordResponse(message=message, process_record=words.record(row))


async def listed(
    conn: Conn,
    response: Response,
    status: RecordStatus | None,
    type: str | None,
    limit: int,
    cursor: str | None,
) -> list[words.ProcessRecord]:
    states = [str(state) for state, shown in RECORD_STATES.items() if shown == status]
    rows = await stored.records(
        conn,
        type=type,
        states=states or None,
        after=pages.decode(cursor, pages.text),
        limit=limit + 1,
    )
    page = pages.page_of(rows, limit, "id", words.record)
    point_on(response, page.next)
    return page.items


def point_on(response: Response, cursor: str | None) -> None:
    if cursor is not None:
        response.headers["Next-Cursor"] = cursor


def mark(response: Response, *, replayed: bool) -> None:
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"


async def all_types(conn: Conn, catalog: TheCatalog) -> list[TypeOfProcess]:
    rows = await process_types.all(conn)
    return [words.type_of(await catalog.get(conn, row["name"], row["version"])) for row in rows]


async def tasks_of(
    conn: Conn, catalog: TheCatalog, ids: Sequence[str], bytes: int
) -> dict[str, list[TaskData]]:
    """The tasks of each record's latest run; one that never ran has none."""
    found: dict[str, list[TaskData]] = {each: [] for each in ids}
    for row in await stored.tasks(conn, ids, bytes=bytes):
        definition = await catalog.get(conn, row["type"], row["type_version"])
        found[row["record"]].append(words.task(row, definition))
    return found


def input_of(wish: Execute) -> dict[str, Any]:
    given = wish.context.data | wish.context.variables if wish.context else {}
    payload = {} if wish.payload is None else {"payload": wish.payload}
    return {**given, **wish.variables, **payload}


def labels_of(wish: Execute) -> dict[str, str]:
    """Who it is for. Either form names the employee; the older one the organization as well."""
    around = wish.context
    employee = wish.employee_id or (around.employee_id if around else None)
    organization = wish.organization_id or (around.organization_id if around else None)
    if employee is None:
        raise Invalid("say for which employee", field="employeeId")
    if organization is None and around is None:
        raise Invalid("say for which organization", field="organizationId")
    return {"employee_id": employee} | ({"organization_id": organization} if organization else {})
