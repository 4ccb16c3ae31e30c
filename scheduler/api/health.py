"""Whether the server lives, and whether it can work."""

from typing import Any

from fastapi import APIRouter, Response
from psycopg import AsyncConnection

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import Responses, problems
from scheduler.api.models import Component, Health, Live
from scheduler.api.state import TheServer
from scheduler.store import holders, migrations

router = APIRouter(tags=["health"], route_class=GuardedRoute)

UP, DOWN = "UP", "DOWN"
DUE = "A component is down, which is told as with 200; or the database is away."
READY: Responses = problems()
READY[503] = {**READY[503], "description": DUE, "model": Health}


@router.get("/health/live")
async def get_liveness() -> Live:
    """Answers whatever has become of the database. Needs no token."""
    return Live(status=UP)


@router.get("/health/ready", responses=READY)
async def get_readiness(server: TheServer, response: Response) -> Health:
    """What this server needs, each with its state; 503 unless all of it is there.

    With the database away it is a problem document, as everywhere.
    """
    async with server.connection() as conn:
        components = await look(conn)
    is_up = all(each.status == UP for each in components.values())
    response.status_code = 200 if is_up else 503
    return Health(status=UP if is_up else DOWN, components=components)


async def look(conn: AsyncConnection[Any]) -> dict[str, Component]:
    missing = await migrations.pending(conn)
    living = [each for each in await holders.all(conn) if each["state"] != "GONE"]
    return {
        "database": Component(status=UP, detail=f"PostgreSQL {version(conn)}"),
        "schema": schema(missing),
        # Without workers the server still takes requests, so this is told and not judged.
        "workers": Component(status=UP, detail=f"{len(living)} living"),
    }


def version(conn: AsyncConnection[Any]) -> str:
    return str(conn.info.server_version // 10000)


def schema(missing: list[str]) -> Component:
    if not missing:
        return Component(status=UP)
    return Component(status=DOWN, detail=f"`procession migrate` is due: {', '.join(missing)}")
