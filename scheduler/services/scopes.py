"""What the expressions of a run may speak of, read for those who have no board of it."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import scopes
from scheduler.services import definitions
from scheduler.store import tasks, variables
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


async def of_run(conn: Conn, run: Row) -> scopes.Scope:
    published = await definitions.get(conn, run["type"], run["type_version"])
    around = await variables.of_record(conn, run["record_id"])
    of_type = published["document"].get("vars", {})
    return {
        "input": run["input"],
        "vars": scopes.variables(around.system, of_type, around.record),
        "tasks": await tasks.results(conn, run["id"]),
        "run": scopes.of_run(
            id=run["id"],
            type=run["type"],
            record=run["record_id"],
            round=run["round"],
            labels=run["labels"],
            started_at=run["started_at"],
        ),
    }
