"""What the author of a process wrote for whoever stands where a task is carried out."""

from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.instructions import filled
from scheduler.services.catalog import Catalog

Conn = AsyncConnection[Any]

LONGEST = 3_000


async def of_task(
    conn: Conn, catalog: Catalog, type: str, version: int, task: str, given: Mapping[str, Any]
) -> str:
    definition = await catalog.get(conn, type, version)
    text = next((each.description for each in definition.tasks if each.name == task), "")
    return filled(text, given)[:LONGEST]
