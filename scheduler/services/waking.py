"""Tells whoever listens what a transaction brings, when it commits."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.wakes import CHANNEL, Wake

Conn = AsyncConnection[Any]

CALLS = "calls:"


def of_calls(holder: int) -> str:
    """As the name of a queue: something that a workflow in its hands has called is over."""
    return f"{CALLS}{holder}"


async def notify(conn: Conn, wake: Wake) -> None:
    """One notification for each commit, sent when it commits."""
    if wake:
        await conn.execute("select pg_notify(%s, %s)", [CHANNEL, wake.encode()])
