"""System: settings and where they come from, loops, tables, connections; a bundle for helpers."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection, Error

from scheduler import doctor
from scheduler.api.state import Conn, Server, TheServer
from scheduler.domain.findings import Finding, Level
from scheduler.services import system
from scheduler.services.system import Setting
from scheduler.settings import Settings, load
from scheduler.store import migrations, retention
from scheduler.store import system as stored
from scheduler.store.rows import Row
from ui import frame
from ui.screen import Screen

router = APIRouter(prefix="/system", route_class=Screen)

TABLES, MIGRATIONS, SERVERS, SLOW = 40, 100, 100, 20


@dataclass(frozen=True, slots=True)
class Loop:
    """What each server has running, and how long it may be silent."""

    name: str
    words: str
    silent: timedelta


LOOPS = (
    Loop("server promote", "moves on what is due, gives free places", timedelta(seconds=30)),
    Loop("server clock", "starts what schedules say", timedelta(seconds=30)),
    Loop("server route", "decides what events start", timedelta(minutes=1)),
    Loop("server reap", "takes back what the dead have in hand", timedelta(minutes=2)),
    Loop("server keeper", "keeps the queue of chores", timedelta(seconds=30)),
    Loop("server chores", "carries chores out", timedelta(minutes=1)),
    Loop("server listen", "hears what others commit", timedelta(minutes=2)),
    Loop("server janitor", "makes partitions, forgets old keys", timedelta(hours=2)),
)


@dataclass(frozen=True, slots=True)
class Beat:
    """A loop and when it last did something, over all servers."""

    loop: Loop
    connections: int
    last_at: datetime | None
    trouble: str


@router.get("")
async def ui_system(request: Request, conn: Conn, server: TheServer) -> Response:
    found = await gathered(request, conn, server)
    return await frame.page(
        request,
        conn,
        "system.html",
        **found,
        schema=next(each for each in found["checks"] if each.check == "schema"),
        ours=version("procession"),
        stream=None,
    )


async def gathered(request: Request, conn: AsyncConnection[Any], server: Server) -> dict[str, Any]:
    database = await stored.server(conn)
    connections = await stored.connections(conn)
    return {
        "database": database,
        "settings": settings_of(request),
        "checks": await checks(request, conn),
        "beats": beats(connections, database["now"]),
        "connections": connections,
        "servers": await stored.servers(conn, limit=SERVERS),
        "tables": await stored.tables(conn, limit=TABLES),
        "migrations": await stored.migrations(conn, limit=MIGRATIONS),
        "rules": await retention.rules(conn),
        "details": await retention.details(conn),
        "statements": await stored.slow(conn, limit=SLOW),
        "pool": pool_of(server),
    }


def all_settings(request: Request) -> Settings:
    """What this server was started with; where nobody handed it on, what it would read now."""
    found: Settings | None = getattr(request.app.state, "settings", None)
    return found or load()


def settings_of(request: Request) -> list[Setting]:
    return system.settings_of(all_settings(request))


async def checks(
    request: Request, conn: AsyncConnection[Any], *, more: bool = False
) -> list[Finding]:
    """What `procession doctor` looks at, but for what takes long."""
    folder = Path(all_settings(request).data_dir)
    return [
        await doctor.database(conn),
        await doctor.schema(conn),
        doctor.versions(),
        await asyncio.to_thread(doctor.disk, folder),
        await doctor.clock(conn),
        await doctor.durability(conn),
        await doctor.leases(conn),
        await doctor.workers(conn),
        await doctor.partitions(conn),
        *([await counters(conn)] if more else []),
    ]


async def counters(conn: AsyncConnection[Any]) -> Finding:
    try:
        return await doctor.counters(conn)
    except Error as error:
        return Finding("counters", Level.WARNING, f"not looked at: {str(error).strip()}")


def beats(connections: Sequence[Row], now: datetime) -> list[Beat]:
    return [beat_of(loop, connections, now) for loop in LOOPS]


def beat_of(loop: Loop, connections: Sequence[Row], now: datetime) -> Beat:
    ours = [row for row in connections if row["name"] == loop.name]
    last = max((row["last_at"] for row in ours if row["last_at"]), default=None)
    return Beat(loop, len(ours), last, trouble(loop, last, now))


def trouble(loop: Loop, last: datetime | None, now: datetime) -> str:
    if last is None:
        return "nobody does this"
    return "it is late" if now - last > loop.silent else ""


def pool_of(server: Server) -> dict[str, int]:
    return dict(server.pool.get_stats()) if server.pool else {}


@router.get("/bundle")
async def ui_bundle(request: Request, conn: Conn, server: TheServer) -> Response:
    """Everything of this screen as a file, for whoever helps. No secret is in it."""
    now = datetime.now(UTC)
    found = await gathered(request, conn, server)
    parts = {
        **found,
        "about": {"version": version("procession"), "made_at": now},
        "checks": [asdict(each) for each in await checks(request, conn, more=True)],
        "beats": [{**asdict(each), "loop": each.loop.name} for each in found["beats"]],
        "pending": await migrations.pending(conn),
    }
    name = f"procession-{now:%Y%m%d-%H%M%S}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    packed = await asyncio.to_thread(system.bundle, parts, now=now)
    return Response(packed, media_type="application/zip", headers=headers)
