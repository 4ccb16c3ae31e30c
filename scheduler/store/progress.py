"""What attempts say about themselves. One function for each statement in progress.sql."""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import fetch_column
from sql.statements import statements

PROGRESS = statements("progress")
Conn = AsyncConnection[Any]


async def tell(
    conn: Conn, holder: int, said: Mapping[tuple[int, int], Mapping[str, Any]]
) -> Sequence[UUID]:
    """By task and attempt; answers whose runs have news."""
    return await fetch_column(
        conn,
        PROGRESS["tell"],
        holder=holder,
        tasks=[task for task, _ in said],
        attempts=[attempt for _, attempt in said],
        progress=[json.dumps(each) for each in said.values()],
    )
